/** What a browser brings to `/auth/callback`, in a query or in a form, and what is noted of what is refused. */
import type { PlainRequest } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { PostedAnswer } from "./sign-in-flow.ts";

/** Longest text taken, in characters. */
const longestText = 8192;

/** One parameter; one that is repeated means different things to different readers, and is refused. */
export function readOne(parameters: URLSearchParams, name: string): string {
  const [value = "", ...others] = parameters.getAll(name);
  if (others.length > 0 || value.length > longestText) throw new DomainError("INVALID_FLOW");
  return value;
}

/** Reads the body of a POST. @throws DomainError INVALID_REQUEST for all but a form */
export function readForm({ header, body }: PlainRequest): URLSearchParams {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(header.get("content-type") ?? "")) {
    throw invalidRequest("must be a form");
  }
  return new URLSearchParams(Buffer.from(body).toString("utf8"));
}

/** What a provider says at the end, in a query or in a form; absent is what is empty. */
export function readBrought(parameters: URLSearchParams): Omit<PostedAnswer, "at"> {
  const names = {
    code: "code",
    error: "error",
    description: "error_description",
    issuer: "iss",
    user: "user",
  };
  const brought: Record<string, string> = {};
  for (const [member, name] of Object.entries(names)) {
    const value = readOne(parameters, name);
    if (value !== "") brought[member] = value;
  }
  return brought;
}

/** Notes what is refused. @throws what is no refusal */
export function noteRefusal(error: unknown, { info }: PlainRequest): DomainError {
  if (!(error instanceof DomainError) || error.kind === "internal") throw error;
  info.outcome.reason = error.reason;
  if (error.detail !== undefined) info.outcome.detail = error.detail;
  return error;
}
