/**
 * What the built server says of its schemas. The bundle has them in another
 * form, and describes a message's fields when somebody first looks at them;
 * nobody is to notice.
 */
import { type DescFile, toJson } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { expect, it } from "vitest";
import { openTransport, reflectService } from "./parts/rpc.ts";
import { startServer } from "./parts/server.ts";

/** A file and all it imports, by their names. */
function listFiles(file: DescFile, into: Map<string, DescFile> = new Map()): Map<string, DescFile> {
  if (!into.has(file.proto.name)) {
    into.set(file.proto.name, file);
    for (const each of file.dependencies) listFiles(each, into);
  }
  return into;
}

const show = ({ proto }: DescFile) => toJson(FileDescriptorProtoSchema, proto);

it("are shown by reflection to the last field, rule and name as they are generated", async () => {
  await using server = await startServer();
  using opened = openTransport(server.url, "gRPC", "h2c");
  const seen = new Set<string>();
  for (const service of [
    AuditService,
    FrontdoorService,
    FrontdoorAuthProviderService,
    OrganizationService,
    ServiceUserService,
  ]) {
    const shown = listFiles((await reflectService(opened.transport, service.typeName)).service.file);
    const generated = listFiles(service.file);
    expect([...shown.keys()].toSorted()).toEqual([...generated.keys()].toSorted());
    for (const [name, file] of shown) {
      expect(show(file), name).toEqual(show(generated.get(name) as DescFile));
      seen.add(name);
    }
  }
  expect([...seen]).toContain("buf/validate/validate.proto");
});
