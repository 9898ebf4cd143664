import type { JsonObject } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { toLocation } from "../http/redirect.ts";
import { toOptionalStruct } from "../lib/proto.ts";
import { requestInfoKey } from "../lib/request.ts";
import { isVoidKey, principalKey } from "../principals/context.ts";
import type { BrowserAnswer, BrowserRequest, BrowserSignIn } from "./browser-sign-in.ts";
import type { SignInService } from "./service.ts";

/** What the methods of signing in and out stand on. */
export interface FlowMethodsOptions {
  readonly service: Pick<SignInService, "strategies">;
  readonly browserSignIn: BrowserSignIn;
  /** Names that are not listed under Frontier's name: its SDK draws a button for each. */
  readonly frontierHiddenStrategies: readonly string[];
}

/** What a call brings along, as a browser's request. */
function toBrowserRequest({ requestHeader, values }: HandlerContext): BrowserRequest {
  return { header: requestHeader, info: values.get(requestInfoKey), principal: values.get(principalKey) };
}

function answer(context: HandlerContext, { setCookies }: BrowserAnswer): void {
  for (const cookie of setCookies) context.responseHeader.append("set-cookie", cookie);
  context.responseHeader.set("cache-control", "no-store");
}

/** Clears a session cookie that an open method has overlooked because it is no good any more; undefined where there is none. */
function clearDeadSession(
  context: Pick<HandlerContext, "requestHeader" | "responseHeader">,
  browserSignIn: Pick<BrowserSignIn, "clearDeadSession">,
): Promise<void> | undefined {
  return browserSignIn.clearDeadSession(context.requestHeader)?.then((cookies) => {
    for (const cookie of cookies) context.responseHeader.append("set-cookie", cookie);
  });
}

/** The methods of AuthService by which people come in and go out. */
export function createFlowMethods(options: FlowMethodsOptions) {
  const { service, browserSignIn } = options;
  const hidden = new Set(options.frontierHiddenStrategies);

  return {
    listAuthStrategies(_request, context) {
      const clearing = clearDeadSession(context, browserSignIn);
      const isAlias = context.service.typeName !== AuthService.typeName;
      const open = service.strategies.filter((strategy) => !strategy.isClosed?.());
      const listed = open.filter(({ name }) => !(isAlias && hidden.has(name)));
      const answer = {
        strategies: listed.map(({ name, params }) => {
          const struct = toOptionalStruct(params);
          return { name, ...(struct && { params: struct }) };
        }),
      };
      return clearing === undefined ? answer : clearing.then(() => answer);
    },
    async authenticate(request, context) {
      const { strategyName, email, returnTo, callbackUrl, redirectOnstart, reauthenticate } = request;
      const asked = { strategyName, email, returnTo, callbackUrl, reauthenticate };
      const begun = await browserSignIn.begin(asked, toBrowserRequest(context));
      answer(context, begun);
      const { endpoint, state, stateOptions } = begun.flow;
      if (redirectOnstart && endpoint !== "") context.responseHeader.set("location", toLocation(endpoint));
      return { endpoint, state, ...(stateOptions && { stateOptions: stateOptions as JsonObject }) };
    },
    async authCallback(request, context) {
      const { strategyName, state, code, stateOptions = {} } = request;
      const { iss } = stateOptions;
      const answered = {
        strategyName,
        state,
        code,
        stateOptions,
        ...(typeof iss === "string" && { issuer: iss }),
      };
      const finished = await browserSignIn.finish(answered, toBrowserRequest(context));
      answer(context, finished);
      const { returnTo } = finished;
      if (returnTo !== undefined) context.responseHeader.set("location", toLocation(returnTo));
      return {};
    },
    async authLogout(_request, context) {
      if (context.values.get(isVoidKey)) return {};
      answer(context, await browserSignIn.signOut(toBrowserRequest(context)));
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
