/** Signing in by mail OTP as a browser would, with the code that addresses for tests always have. */
import { randomBytes } from "node:crypto";
import { type Agent, request as sendRequest } from "node:http";

/** Settings under which {@link signIn} works, and no limit stands in a benchmark's way. */
export const signInConfig = {
  limits: {
    begun_flows_per_ipv4_address_per_minute: 1_000_000,
    mails_per_mailbox_per_hour: 1_000_000,
    mails_per_address_per_hour: 1_000_000,
  },
  authentication: { test_users: { enabled: true, domain: "bench.test", otp: "BCDFGH" } },
} as const;

/** Address of one of the seeded people. */
export function toAddress(index: number): string {
  return `person-${String(index).padStart(7, "0")}@${signInConfig.authentication.test_users.domain}`;
}

/** What came back: headers and the text of a 2xx answer. */
interface Answer {
  readonly setCookies: readonly string[];
  readonly text: string;
}

/** Posts JSON over a connection of the agent's. @throws Error for any other answer than 2xx */
export function post(
  to: { readonly port: number; readonly agent?: Agent },
  path: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const bytes = JSON.stringify(body);
    const sent = sendRequest(
      {
        host: "127.0.0.1",
        ...to,
        method: "POST",
        path,
        headers: { "content-type": "application/json", "content-length": bytes.length, ...headers },
      },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => (text += part));
        answer.on("end", () => {
          const { statusCode = 0 } = answer;
          if (statusCode < 300) resolve({ setCookies: answer.headers["set-cookie"] ?? [], text });
          else reject(new Error(`${path} answered ${statusCode}: ${text}`));
        });
      },
    );
    sent.on("error", reject);
    sent.end(bytes);
  });
}

/** The `Cookie` header that answers a `Set-Cookie`. */
export function toCookie(setCookies: readonly string[]): string {
  return setCookies.map((line) => line.slice(0, line.indexOf(";"))).join("; ");
}

/** One whole sign-in in a new browser: `Authenticate`, `AuthCallback`. Answers the session's `Cookie` header. */
export async function signIn(
  to: { readonly port: number; readonly agent?: Agent },
  email: string,
): Promise<string> {
  const cookie = `vestibule_browser=${randomBytes(32).toString("base64url")}`;
  const service = "/vestibule.v1.AuthService";
  const begun = await post(to, `${service}/Authenticate`, { strategyName: "mailotp", email }, { cookie });
  const { state } = JSON.parse(begun.text) as { state: string };
  const code = signInConfig.authentication.test_users.otp;
  const ended = await post(
    to,
    `${service}/AuthCallback`,
    { strategyName: "mailotp", state, code },
    { cookie },
  );
  return toCookie(ended.setCookies);
}
