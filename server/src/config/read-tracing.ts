/**
 * OpenTelemetry's standard variables, as far as traces need them. They are
 * shared with every other program of their environment, so one that is not
 * known here is let be; one that asks for what cannot be done is refused.
 * An empty variable counts as absent, and names of choices as lower case, as
 * the specification of these variables has it.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import type { OtlpConfig, SamplerConfig, SpanBatchConfig, TracingConfig } from "./config.ts";
import type { Problems } from "./problems.ts";
import type { Environment, Files } from "./read-settings.ts";

/** Every variable that is read, with what it is about. The page on observability has a table of them. */
export const tracingVariables = {
  OTEL_SDK_DISABLED: "switch",
  OTEL_TRACES_EXPORTER: "switch",
  OTEL_EXPORTER_OTLP_ENDPOINT: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "otlp",
  OTEL_EXPORTER_OTLP_PROTOCOL: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "otlp",
  OTEL_EXPORTER_OTLP_HEADERS: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: "otlp",
  OTEL_EXPORTER_OTLP_TIMEOUT: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "otlp",
  OTEL_EXPORTER_OTLP_COMPRESSION: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "otlp",
  OTEL_EXPORTER_OTLP_CERTIFICATE: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: "otlp",
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE: "otlp",
  OTEL_EXPORTER_OTLP_CLIENT_KEY: "otlp",
  OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: "otlp",
  OTEL_SERVICE_NAME: "resource",
  OTEL_RESOURCE_ATTRIBUTES: "resource",
  OTEL_TRACES_SAMPLER: "sampler",
  OTEL_TRACES_SAMPLER_ARG: "sampler",
  OTEL_PROPAGATORS: "propagation",
  OTEL_BSP_SCHEDULE_DELAY: "batches",
  OTEL_BSP_EXPORT_TIMEOUT: "batches",
  OTEL_BSP_MAX_QUEUE_SIZE: "batches",
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "batches",
} as const;

type Name = keyof typeof tracingVariables;

/** Suffix of `OTEL_EXPORTER_OTLP_…`, and of `OTEL_EXPORTER_OTLP_TRACES_…`, which wins. */
type OtlpSetting =
  | "ENDPOINT"
  | "PROTOCOL"
  | "HEADERS"
  | "TIMEOUT"
  | "COMPRESSION"
  | "CERTIFICATE"
  | "CLIENT_CERTIFICATE"
  | "CLIENT_KEY";

/** A variable that was given. */
interface Given {
  readonly name: Name;
  readonly text: string;
}

/** What traces are to be, or undefined when nothing asks for them; nothing else is looked at then. */
export function readTracing(
  environment: Environment,
  files: Files,
  problems: Problems,
): TracingConfig | undefined {
  const reader = new Reader(environment, files, problems);
  const exporters = reader.readExporters();
  if (exporters.size === 0) return undefined;
  return {
    otlp: exporters.has("otlp") ? reader.readOtlp() : undefined,
    console: exporters.has("console"),
    resourceAttributes: reader.readResourceAttributes(),
    sampler: reader.readSampler(),
    takesTraceContext: reader.readPropagators(),
    batch: reader.readBatch(),
  };
}

const longestMs = 600_000;

class Reader {
  readonly #environment: Environment;
  readonly #files: Files;
  readonly #problems: Problems;

  constructor(environment: Environment, files: Files, problems: Problems) {
    this.#environment = environment;
    this.#files = files;
    this.#problems = problems;
  }

  /** Where spans go; nowhere when traces are off. */
  readExporters(): ReadonlySet<string> {
    if (this.#find("OTEL_SDK_DISABLED")?.text.toLowerCase() === "true") return new Set();
    const given = this.#find("OTEL_TRACES_EXPORTER");
    if (given === undefined) return new Set(this.#findOtlp("ENDPOINT") === undefined ? [] : ["otlp"]);
    const names = splitNames(given.text);
    const isNone = names.length === 1 && names[0] === "none";
    if (isNone) return new Set();
    if (!names.every((name) => name === "otlp" || name === "console")) {
      this.#refuse(given, "must be none, or otlp, console or both with a comma between");
    }
    return new Set(names);
  }

  readOtlp(): OtlpConfig {
    this.#requireProtocol();
    return {
      url: this.#readUrl(),
      headers: {
        ...this.#readPairs("OTEL_EXPORTER_OTLP_HEADERS", isHeader),
        ...this.#readPairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS", isHeader),
      },
      timeoutMs: this.#readNumber(this.#findOtlp("TIMEOUT"), 1, longestMs) ?? 10_000,
      gzip: this.#readGzip(),
      ca: this.#readPem("CERTIFICATE", "certificate", (pem) => new X509Certificate(pem)),
      ...this.#readClientPair(),
    };
  }

  readResourceAttributes(): Readonly<Record<string, string>> {
    const given = this.#readPairs("OTEL_RESOURCE_ATTRIBUTES", (name) => name.length <= 255);
    const name = this.#find("OTEL_SERVICE_NAME")?.text ?? given["service.name"] ?? "vestibule";
    return { ...given, "service.name": name };
  }

  readSampler(): SamplerConfig {
    const given = this.#find("OTEL_TRACES_SAMPLER");
    const name = given?.text.toLowerCase() ?? "parentbased_always_on";
    const [, parent, rule] = /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(name) ?? [];
    if (given !== undefined && rule === undefined) {
      this.#refuse(given, "must be always_on, always_off or traceidratio, each also after parentbased_");
    }
    return {
      followsParent: parent !== undefined,
      ratio: rule === "traceidratio" ? this.#readRatio() : rule === "always_off" ? 0 : 1,
    };
  }

  /** Whether the trace context of requests is looked at. */
  readPropagators(): boolean {
    const given = this.#find("OTEL_PROPAGATORS");
    if (given === undefined) return true;
    const names = splitNames(given.text);
    // Baggage is neither read nor passed on, so taking it costs nothing.
    if (!names.every((name) => name === "tracecontext" || name === "baggage" || name === "none")) {
      this.#refuse(given, "must be tracecontext, baggage or both with a comma between, or none");
    }
    return names.includes("tracecontext");
  }

  readBatch(): SpanBatchConfig {
    const number = (name: Name, least: number, most: number) =>
      this.#readNumber(this.#find(name), least, most);
    const mostWaiting = number("OTEL_BSP_MAX_QUEUE_SIZE", 1, 100_000) ?? 2048;
    const perExport = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, 100_000);
    if (perExport !== undefined && perExport > mostWaiting) {
      this.#problems.add("OTEL_BSP_MAX_EXPORT_BATCH_SIZE: must be at most OTEL_BSP_MAX_QUEUE_SIZE");
    }
    return {
      delayMs: number("OTEL_BSP_SCHEDULE_DELAY", 1, longestMs) ?? 5000,
      exportTimeoutMs: number("OTEL_BSP_EXPORT_TIMEOUT", 1, longestMs) ?? 30_000,
      mostWaiting,
      perExport: perExport ?? Math.min(512, mostWaiting),
    };
  }

  #find(name: Name): Given | undefined {
    const text = this.#environment[name]?.trim();
    return text === undefined || text === "" ? undefined : { name, text };
  }

  #findOtlp(setting: OtlpSetting): Given | undefined {
    return this.#find(`OTEL_EXPORTER_OTLP_TRACES_${setting}`) ?? this.#find(`OTEL_EXPORTER_OTLP_${setting}`);
  }

  #refuse({ name }: Given, message: string): void {
    this.#problems.add(`${name}: ${message}`);
  }

  #requireProtocol(): void {
    const given = this.#findOtlp("PROTOCOL");
    if (given === undefined || given.text.toLowerCase() === "http/protobuf") return;
    const instead =
      "set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL and the endpoint that goes with it, or OTEL_TRACES_EXPORTER=none";
    this.#refuse(given, `must be http/protobuf, the one protocol that spans are sent by: ${instead}`);
  }

  /** The address for traces as it is, the general one with the path that belongs to traces. */
  #readUrl(): string {
    const given = this.#findOtlp("ENDPOINT");
    const url = parseUrl(given?.text ?? "http://localhost:4318");
    if (url === undefined) {
      if (given !== undefined) this.#refuse(given, "must be an http:// or https:// URL");
      return "";
    }
    if (given?.name !== "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
      url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
    }
    return url.href;
  }

  #readGzip(): boolean {
    const given = this.#findOtlp("COMPRESSION");
    const name = given?.text.toLowerCase() ?? "none";
    if (given !== undefined && name !== "gzip" && name !== "none")
      this.#refuse(given, "must be gzip or none");
    return name === "gzip";
  }

  #readClientPair(): Pick<OtlpConfig, "clientCert" | "clientKey"> {
    const clientCert = this.#readPem("CLIENT_CERTIFICATE", "certificate", (pem) => new X509Certificate(pem));
    const clientKey = this.#readPem("CLIENT_KEY", "private key without passphrase", createPrivateKey);
    const [cert, key] = [this.#findOtlp("CLIENT_CERTIFICATE"), this.#findOtlp("CLIENT_KEY")];
    if (cert !== undefined && key === undefined) {
      this.#refuse(cert, "must be given together with OTEL_EXPORTER_OTLP_CLIENT_KEY");
    }
    if (key !== undefined && cert === undefined) {
      this.#refuse(key, "must be given together with OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
    }
    return { clientCert, clientKey };
  }

  #readPem(setting: OtlpSetting, content: string, parse: (pem: string) => unknown): string | undefined {
    const given = this.#findOtlp(setting);
    if (given === undefined) return undefined;
    let pem: string;
    try {
      pem = this.#files.readFile(resolve(this.#files.cwd, given.text));
    } catch (error) {
      const { code = "an error" } = error as NodeJS.ErrnoException;
      this.#refuse(given, `must name a file that can be read, got ${code}`);
      return undefined;
    }
    try {
      parse(pem);
    } catch {
      this.#refuse(given, `must name a file that holds a ${content} in PEM form`);
    }
    return pem;
  }

  #readRatio(): number {
    const given = this.#find("OTEL_TRACES_SAMPLER_ARG");
    if (given === undefined) return 1;
    const ratio = /^\d+(\.\d+)?$|^\.\d+$/.test(given.text) ? Number(given.text) : Number.NaN;
    if (ratio >= 0 && ratio <= 1) return ratio;
    this.#refuse(given, "must be a number from 0 to 1");
    return 0;
  }

  #readNumber(given: Given | undefined, least: number, most: number): number | undefined {
    if (given === undefined) return undefined;
    const number = /^\d+$/.test(given.text) ? Number(given.text) : Number.NaN;
    if (number >= least && number <= most) return number;
    this.#refuse(given, `must be a whole number from ${least} to ${most}`);
    return undefined;
  }

  /** `name=value` with commas between, both percent-encoded where need be. */
  #readPairs(name: Name, isSound: (name: string, value: string) => boolean): Record<string, string> {
    const given = this.#find(name);
    const pairs: Record<string, string> = Object.create(null);
    for (const part of given?.text.split(",") ?? []) {
      if (part.trim() === "") continue;
      const [key, value] = decodePair(part);
      if (given !== undefined && (key === "" || value === undefined || !isSound(key, value))) {
        this.#refuse(given, "must be name=value pairs with commas between, percent-encoded where need be");
        break;
      }
      pairs[key] = value ?? "";
    }
    return { ...pairs };
  }
}

function splitNames(text: string): string[] {
  return text.split(",").map((name) => name.trim().toLowerCase());
}

function parseUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) ? url : undefined;
}

function decodePair(part: string): readonly [name: string, value: string | undefined] {
  const mark = part.indexOf("=");
  if (mark < 0) return ["", undefined];
  try {
    return [decodeURIComponent(part.slice(0, mark).trim()), decodeURIComponent(part.slice(mark + 1).trim())];
  } catch {
    return ["", undefined];
  }
}

/** RFC 9110 §5.1 and §5.5. */
function isHeader(name: string, value: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\t\x20-\x7e]*$/.test(value);
}
