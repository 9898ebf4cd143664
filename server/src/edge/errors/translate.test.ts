import { Code, ConnectError, createContextValues, type StreamResponse } from "@connectrpc/connect";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { createTranslator } from "./translate.ts";

/** The answer of a stream of one message, as the library takes it, and what was logged and noted. */
async function openStream() {
  const errors: string[] = [];
  const log = { ...silentLog, error: (_: object, message: string) => errors.push(message) };
  const info = { requestId: "r", outcome: {} } as RequestInfo;
  const translator = createTranslator({ log, bodyBytes: 1024 });
  async function* messages() {
    yield 1;
    await new Promise(() => {});
  }
  const request = {
    stream: true,
    service: AuditService,
    method: AuditService.method.tailAuditRecords,
    signal: new AbortController().signal,
    contextValues: createContextValues().set(requestInfoKey, info),
  } as never;
  const response = await translator.interceptor(
    async () => ({ stream: true, message: messages() }) as unknown as StreamResponse,
  )(request);
  const taken = (response as StreamResponse).message[Symbol.asyncIterator]();
  expect(await taken.next()).toMatchObject({ done: false });
  return { taken, errors, info };
}

describe("a message of a stream that cannot be sent", () => {
  it("because its caller went away is no failure of ours", async () => {
    const { taken, errors, info } = await openStream();
    const gone = taken.throw?.(new Error("The stream has been destroyed"));
    await expect(gone).rejects.toMatchObject({ code: Code.Canceled });
    expect(errors).toEqual([]);
    expect(info.outcome.code).toBe("canceled");
  });

  it("because it cannot be serialized is one", async () => {
    const { taken, errors, info } = await openStream();
    const failed = taken.throw?.(new ConnectError("serialize binary: secret", Code.Internal));
    await expect(failed).rejects.toMatchObject({
      code: Code.Internal,
      rawMessage: "internal server error",
    });
    expect(errors).toEqual(["call failed"]);
    expect(info.outcome.code).toBe("internal");
  });
});
