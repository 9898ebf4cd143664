import type { Writable } from "node:stream";

/** Resolves once a stream takes more, or will take nothing any more: look whether it is still writable. */
export function untilDrained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const events = ["drain", "close", "error"] as const;
    const done = () => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.on(event, done);
  });
}
