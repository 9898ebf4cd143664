import { create } from "@bufbuild/protobuf";
import {
  type Session_Meta as MetaMessage,
  Session_MetaSchema,
} from "@vestibule/proto/vestibule/v1/session_pb";
import type { Device } from "./session.ts";

/** Device and place as answered. */
export function toMetaMessage(device: Device): MetaMessage {
  const { operatingSystem, browser, ipAddress, ...location } = device;
  const hasLocation = Object.values(location).some((text) => text !== "");
  return create(Session_MetaSchema, {
    operatingSystem,
    browser,
    ipAddress,
    ...(hasLocation && { location }),
  });
}
