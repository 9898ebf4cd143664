import type { NodeRequest } from "./node-http.ts";
import { toWebHeaders } from "./node-http.ts";

/**
 * A request's headers as the fetch API has them, made of Node's when somebody
 * wants more than to read one: most calls look at three, and copying all of
 * them costs as much as the rest of a cheap call.
 */
export class LazyHeaders implements Headers {
  readonly #request: NodeRequest;
  #copied: Headers | undefined;

  constructor(request: NodeRequest) {
    this.#request = request;
  }

  get(name: string): string | null {
    if (this.#copied !== undefined) return this.#copied.get(name);
    const lowerCased = name.toLowerCase();
    const value = this.#request.headers[lowerCased];
    if (typeof value === "string") return value;
    // HTTP/2 has the host elsewhere, which the copy knows.
    return value === undefined && lowerCased !== "host" ? null : this.#headers.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  append(name: string, value: string): void {
    this.#headers.append(name, value);
  }

  set(name: string, value: string): void {
    this.#headers.set(name, value);
  }

  delete(name: string): void {
    this.#headers.delete(name);
  }

  getSetCookie(): string[] {
    return this.#headers.getSetCookie();
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this.#headers) callback(value, name, this);
  }

  keys(): ReturnType<Headers["keys"]> {
    return this.#headers.keys();
  }

  values(): ReturnType<Headers["values"]> {
    return this.#headers.values();
  }

  entries(): ReturnType<Headers["entries"]> {
    return this.#headers.entries();
  }

  [Symbol.iterator](): ReturnType<Headers["entries"]> {
    return this.#headers.entries();
  }

  get #headers(): Headers {
    this.#copied ??= toWebHeaders(this.#request);
    return this.#copied;
  }
}
