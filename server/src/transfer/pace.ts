/** How long a server beside an import gets to write between its transactions, in milliseconds: it tries every 5. */
export const pauseMs = 8;
