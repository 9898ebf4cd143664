import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createDryRunMethods } from "./dry-run-handler.ts";
import { DryRunService, type DryRunServiceOptions } from "./dry-run-service.ts";
import { createProviderMethods } from "./handler.ts";
import { ProviderList } from "./list.ts";
import { createToProviderMessage, type ToProviderMessage } from "./messages.ts";
import { createOpenProvider, type OpenProvider } from "./open-provider.ts";
import { ProviderService, type ProviderServiceOptions } from "./service.ts";

/** What providers stand on. */
export interface ProviderParts
  extends ProviderServiceOptions,
    Pick<DryRunServiceOptions, "findTenant" | "findManagedIds"> {
  /** Origin that browsers see. */
  readonly publicUrl: string;
  /** Longest time of a call. */
  readonly requestSeconds: number;
  /** Aborts when the server begins to stop. */
  readonly stopping: AbortSignal;
}

/** What whoever speaks to providers needs of them. */
export interface ProvidersRoom extends Room {
  readonly openProvider: OpenProvider;
  readonly toProviderMessage: ToProviderMessage;
}

/** Puts providers together: their definitions, lists and dry runs. */
export function assembleProviders(parts: ProviderParts): ProvidersRoom {
  const { database, sealer, requestSeconds, stopping } = parts;
  const dryRuns = new DryRunService({
    ...parts,
    reader: database.reader,
    maxSeconds: Math.min(25, requestSeconds * 0.8),
  });
  const toProviderMessage = createToProviderMessage(parts.publicUrl, parts.types);
  const services = {
    providers: new ProviderService(parts),
    lists: new ProviderList(parts),
    toProviderMessage,
  };
  return {
    toProviderMessage,
    openProvider: createOpenProvider(database.reader, sealer),
    services: [
      registerService(FrontdoorAuthProviderService, {
        ...createProviderMethods(services),
        ...createDryRunMethods(dryRuns, stopping),
      }),
    ],
  };
}
