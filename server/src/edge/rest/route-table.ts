/**
 * Routes by template and HTTP method, as a tree of segments.
 *
 * Of the routes that a path fits, the most literal one from the left answers:
 * a literal goes before `*`, and `*` before `**`.
 */
import type { PathTemplate, Variable } from "./path-template.ts";
import type { RequestPath } from "./request-target.ts";

/** Stands for every HTTP method, behind those that are named. */
export const anyMethod = "*";

/** What a path leads to. */
export type RouteMatch<T> =
  | { readonly kind: "route"; readonly target: T; readonly values: readonly PathValue[] }
  /** The path is known, the HTTP method is not; `allow` has those that are, sorted. */
  | { readonly kind: "method"; readonly target: T; readonly allow: readonly string[] };

/** What a variable of the template took from the path. */
export interface PathValue {
  readonly fieldPath: string;
  /** Decoded; several segments are joined by slashes. */
  readonly text: string;
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  one: Node<T> | undefined;
  rest: Node<T> | undefined;
  /** Verb → HTTP method → route. */
  readonly verbs: Map<string, Map<string, Leaf<T>>>;
}

interface Leaf<T> {
  readonly template: PathTemplate;
  readonly target: T;
}

/** A table of routes to targets of type T. */
export class RouteTable<T> {
  readonly #root: Node<T> = newNode();

  /** @throws Error when a template of the same shape has the HTTP method already */
  add(httpMethod: string, template: PathTemplate, target: T): void {
    let node = this.#root;
    for (const segment of template.segments) {
      node =
        "literal" in segment ? literalChild(node, segment.literal) : wildcardChild(node, segment.wildcard);
    }
    const methods = node.verbs.get(template.verb) ?? new Map<string, Leaf<T>>();
    node.verbs.set(template.verb, methods);
    const other = methods.get(httpMethod);
    if (other !== undefined) {
      throw new Error(
        `${httpMethod} ${template.text} and ${httpMethod} ${other.template.text} are one route`,
      );
    }
    methods.set(httpMethod, { template, target });
  }

  /** The route of a request; undefined when no template fits its path. HEAD is answered by GET's. */
  find(httpMethod: string, path: RequestPath): RouteMatch<T> | undefined {
    const allow = new Set<string>();
    let nearest: Leaf<T> | undefined;
    for (const methods of findAll(this.#root, path, 0)) {
      const leaf =
        methods.get(httpMethod) ??
        (httpMethod === "HEAD" ? methods.get("GET") : undefined) ??
        methods.get(anyMethod);
      if (leaf !== undefined) {
        return { kind: "route", target: leaf.target, values: readValues(leaf.template.variables, path) };
      }
      for (const name of methods.keys()) allow.add(name);
      nearest ??= methods.values().next().value;
    }
    if (nearest === undefined) return undefined;
    if (allow.has("GET")) allow.add("HEAD");
    return { kind: "method", target: nearest.target, allow: [...allow].toSorted() };
  }
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), one: undefined, rest: undefined, verbs: new Map() };
}

function literalChild<T>(node: Node<T>, literal: string): Node<T> {
  const child = node.literals.get(literal) ?? newNode<T>();
  node.literals.set(literal, child);
  return child;
}

function wildcardChild<T>(node: Node<T>, wildcard: "*" | "**"): Node<T> {
  if (wildcard === "*") {
    node.one ??= newNode();
    return node.one;
  }
  node.rest ??= newNode();
  return node.rest;
}

/** The routes of every template that fits, the most literal first. */
function* findAll<T>(node: Node<T>, path: RequestPath, at: number): Generator<Map<string, Leaf<T>>> {
  const segment = path.raw[at];
  if (segment === undefined) {
    const methods = node.verbs.get(path.verb);
    if (methods !== undefined) yield methods;
  } else {
    const literal = node.literals.get(segment);
    if (literal !== undefined) yield* findAll(literal, path, at + 1);
    if (node.one !== undefined) yield* findAll(node.one, path, at + 1);
  }
  const rest = node.rest?.verbs.get(path.verb);
  if (rest !== undefined) yield rest;
}

function readValues(variables: readonly Variable[], path: RequestPath): PathValue[] {
  return variables.map(({ fieldPath, start, end }) => ({
    fieldPath,
    text: path.decoded.slice(start, end).join("/"),
  }));
}
