/** Whether a role is still held: asked of Vestibule with the caller's own token. */
import { toBaseUrl } from "../../../shared/src/base-url.ts";
import type { Role } from "./roles.ts";
import { RoleCheckUnavailableError, TokenError } from "./token-error.ts";

/** Where to ask. */
export interface RoleCheckOptions {
  /** Vestibule's address. */
  readonly baseUrl: string;
  /** Limit of one question. Default 5. */
  readonly timeoutSeconds?: number;
  /** Asks. Default: Node's own. */
  readonly fetch?: typeof fetch;
}

/** Who has to have which role, and where. */
export interface RoleQuestion {
  /** The caller's access token. */
  readonly token: string;
  readonly role: Role;
  /** Id of the organization. */
  readonly organization: string;
}

/**
 * Whether the caller has the role, or a stronger one, now.
 *
 * @throws TokenError when Vestibule does not take the token any more.
 * @throws RoleCheckUnavailableError when that cannot be said.
 */
export type RoleCheck = (question: RoleQuestion) => Promise<boolean>;

/** What the weakest that has the role may do, and nobody weaker. */
const permissions: Readonly<Record<Role, string>> = { viewer: "get", manager: "update", owner: "rolemanage" };

const path = "/vestibule.v1.FrontierService/CheckResourcePermission";

/** The caller is known and may do nothing: they, or their organization, are disabled. */
const refusals: readonly number[] = [400, 403, 404];

const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Makes what asks Vestibule, once for each question; nothing is remembered. */
export function createRoleCheck(options: RoleCheckOptions): RoleCheck {
  const { timeoutSeconds = 5, fetch: send = fetch } = options;
  const url = toBaseUrl(options.baseUrl) + path;

  async function ask({ token, role, organization }: RoleQuestion): Promise<Response> {
    const resource = `app/organization:${organization}`;
    return await send(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ permission: permissions[role], resource }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
  }

  return async (question) => {
    // A name can change hands, and would be taken there.
    if (!idPattern.test(question.organization)) return false;
    try {
      const response = await ask(question);
      if (response.status === 401) throw new TokenError("TOKEN_REFUSED", "the token is not taken any more");
      if (refusals.includes(response.status)) return false;
      if (!response.ok) throw new Error(`Vestibule answered ${response.status}`);
      return ((await response.json()) as { status?: unknown }).status === true;
    } catch (error) {
      if (error instanceof TokenError) throw error;
      throw new RoleCheckUnavailableError(error);
    }
  };
}
