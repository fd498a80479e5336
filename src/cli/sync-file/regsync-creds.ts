/** What regsync's file says of registries: `creds`, and the rate limit that is to be left. Pure. */
import { placeOf } from "../../registry/credentials.ts";
import { noLocalSettings, type LocalSettings, type Path, type ReadingOptions, type SyncBody } from "./contract.ts";
import type { FileFault } from "./faults.ts";
import { filledIn } from "./go-template.ts";
import type { Notes } from "./notes.ts";
import type { RegsyncCreds, RegsyncEntry, RegsyncFile } from "./regsync-schema.ts";

/** More requests at once are never made, so a higher cap would be refused. */
const MAX_REQ_CONCURRENT = 64;

export function localSettingsOf(
  file: RegsyncFile,
  options: ReadingOptions,
  notes: Notes,
  faults: FileFault[],
): LocalSettings {
  const local = noLocalSettings();
  local.withoutUserCredentials = file.defaults?.skipDockerConfig === true;
  for (const [index, given] of (file.creds ?? []).entries()) {
    const creds = withTemplates(given, ["creds", index], options, faults);
    // As docker's own key too: https://index.docker.io/v1/.
    const place = placeOf(creds.registry);
    const [host = place] = place.split("/");
    const settings = hostSettingsOf(creds);
    if (Object.keys(settings).length > 0) {
      local.hosts[host] = { ...local.hosts[host], ...settings };
    }
    if (creds.tls === "insecure") {
      notes.add(
        "tls: insecure",
        ["creds", index, "tls"],
        "not honoured; certificates are checked, --ca FILE trusts one",
      );
    }
    const { user = "", pass = "", token = "" } = creds;
    if (token !== "") {
      local.credentials.set(place, { kind: "identity", token, username: user });
    } else if (user !== "" || pass !== "") {
      local.credentials.set(place, { kind: "basic", username: user, password: pass });
    }
  }
  if (local.credentials.size > 0) {
    notes.add("creds", ["creds"], "user and pass are used for this run; `docker login` keeps them out of the file");
  }
  return local;
}

/**
 * `ratelimit.min`: as long as less is left, copies wait. Here the reserve belongs to the source's host, and only copies that
 * nobody waits for leave it alone.
 */
export function noteReserve(
  { ratelimit }: RegsyncEntry,
  bodies: SyncBody[],
  local: LocalSettings,
  path: Path,
  notes: Notes,
): void {
  const min = ratelimit?.min ?? 0;
  if (min <= 0) {
    return;
  }
  for (const body of bodies) {
    body.priority = "background";
    // Canonical as it is here, a source begins with its host.
    const [host = ""] = body.source.split("/");
    const { quota_reserve: known } = local.hosts[host] ?? {};
    local.hosts[host] = {
      ...local.hosts[host],
      quota_reserve: Math.max(Math.trunc(min), typeof known === "number" ? known : 0),
    };
  }
  notes.add(
    "ratelimit",
    [...path, "ratelimit"],
    "min is kept as the source registry's quota_reserve; retry is not needed, the registry says when",
  );
}

function hostSettingsOf(creds: RegsyncCreds): Record<string, unknown> {
  const { tls, hostname = "", pathPrefix = "", reqPerSec = 0, reqConcurrent = 0 } = creds;
  return {
    ...(tls === "disabled" ? { tls } : {}),
    ...(hostname === "" || hostname === creds.registry ? {} : { hostname }),
    ...(pathPrefix === "" ? {} : { path_prefix: pathPrefix }),
    ...(reqPerSec > 0 ? { req_per_sec: reqPerSec } : {}),
    ...(reqConcurrent > 0 ? { req_concurrent: Math.min(MAX_REQ_CONCURRENT, Math.trunc(reqConcurrent)) } : {}),
  };
}

function withTemplates(creds: RegsyncCreds, path: Path, options: ReadingOptions, faults: FileFault[]): RegsyncCreds {
  const filled = { ...creds };
  for (const key of ["registry", "user", "pass"] as const) {
    const { text, fault } = filledIn(creds[key] ?? "", {}, options);
    if (fault !== null) {
      faults.push({ path: [...path, key], message: fault });
    } else if (creds[key] !== undefined) {
      filled[key] = text;
    }
  }
  return filled;
}
