/** image-syncer's file, as requests for the API: `auth` and `images` in one, or the images alone. Pure. */
import * as z from "zod";
import { formatReference, type Reference } from "../../registry/reference.ts";
import { placeOf } from "../../registry/credentials.ts";
import {
  noLocalSettings,
  type LocalSettings,
  type Path,
  type ReadingOptions,
  type SyncBody,
  type SyncPlan,
} from "./contract.ts";
import { checkedBy, SyncFileError, type FileFault } from "./faults.ts";
import { anywhere, nameOf } from "./names.ts";
import { Notes } from "./notes.ts";
import { targetOf } from "./skopeo.ts";

const text = z.string("must be text");

const Rules = z.record(
  z.string(),
  z
    .union([text, z.array(text), z.null()], "must be a target, or a list of targets")
    .transform((value) => (Array.isArray(value) ? value : [value ?? ""])),
  "must be an object: for each source its target",
);

const Auth = z.record(
  z.string(),
  z.looseObject(
    { username: text.optional(), password: text.optional(), insecure: z.boolean("must be true or false").optional() },
    "must be an object with username and password",
  ),
  "must be an object: for each registry username and password",
);

const AUTH_KEYS: ReadonlySet<string> = new Set(["username", "password", "insecure"]);

const Whole = z.looseObject({ auth: Auth.optional(), images: Rules }, "must be an object with images");

/** @throws SyncFileError with everything that is wrong. */
export function readImageSyncer(data: unknown, options: ReadingOptions): SyncPlan {
  const isWhole = typeof data === "object" && data !== null && "images" in data;
  const { auth = {}, images, ...others } = isWhole ? checkedBy(Whole, data) : { images: checkedBy(Rules, data) };
  const base: Path = isWhole ? ["images"] : [];
  const notes = new Notes();
  const faults: FileFault[] = [];
  for (const key of Object.keys(others)) {
    notes.add(key, [key], "not honoured; where rules without a target go is said with --to HOST[/PREFIX]");
  }
  const copies = Object.entries(images).flatMap(([rule, targets]) =>
    targets.flatMap((target, at) => {
      const path = targets.length === 1 ? [...base, rule] : [...base, rule, at];
      const fault = (message: string): [] => {
        faults.push({ path, message });
        return [];
      };
      return bodiesOf(rule, target, options, fault).map((body) => ({ body, path }));
    }),
  );
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  const local = localOf(auth, options);
  for (const [registry, entry] of Object.entries(auth)) {
    for (const key of Object.keys(entry).filter((name) => !AUTH_KEYS.has(name))) {
      const message = "not honoured; username and password are, and credHelpers of docker's configuration";
      notes.add(key, ["auth", registry, key], message);
    }
  }
  if (local.credentials.size > 0) {
    notes.add("auth", ["auth"], "is used for this run; `docker login` keeps it out of the file");
  }
  return { format: "image-syncer", copies, registries: [], unserved: [], notes: notes.all, local };
}

/** A source as rules have it: `repository`, `repository:a,b`, `repository:/expression/` or `repository@digest`. */
function bodiesOf(rule: string, target: string, options: ReadingOptions, fault: (message: string) => []): SyncBody[] {
  const [, plain = rule, expression] = /^(.+?):\/(.*)\/$/.exec(rule) ?? [];
  const [first = "", ...moreTags] = plain.split(",");
  const source = nameOf(first, "source");
  if (source.name === null) {
    return fault(source.fault);
  }
  const to = target === "" ? defaultTarget(source.name, options) : target;
  if (to === null) {
    return fault("has no target; give one, or say where to with --to HOST[/PREFIX]");
  }
  const [firstTarget = "", ...moreTargetTags] = to.split(",");
  const named = nameOf(firstTarget, "target");
  if (named.name === null) {
    return fault(named.fault);
  }
  const { host, repository, tag, digest } = named.name;
  const repositoryOfTarget = formatReference({ host, repository });
  if (source.name.tag === undefined && source.name.digest === undefined) {
    if (tag !== undefined || digest !== undefined) {
      return fault("names one tag at the target for all tags of the source");
    }
    const tags = expression === undefined ? {} : { tags: { include: [anywhere(expression)] } };
    return [{ source: formatReference(source.name), target: repositoryOfTarget, ...tags }];
  }
  if (source.name.digest !== undefined) {
    const name = tag === undefined ? `@${source.name.digest}` : `:${tag}`;
    return [{ source: formatReference(source.name), target: `${repositoryOfTarget}${name}` }];
  }
  const tags = [source.name.tag ?? "", ...moreTags];
  const targetTags = tag === undefined ? tags : [tag, ...moreTargetTags];
  if (targetTags.length !== tags.length) {
    return fault(`has ${tags.length} tags at the source and ${targetTags.length} at the target`);
  }
  const { host: from, repository: name } = source.name;
  return tags.map((each, index) => ({
    source: `${formatReference({ host: from, repository: name })}:${each}`,
    target: `${repositoryOfTarget}:${targetTags[index] ?? each}`,
  }));
}

function defaultTarget(source: Reference, { to, scoped = false }: ReadingOptions): string | null {
  return to === undefined ? null : targetOf(to, source, scoped);
}

function localOf(auth: z.output<typeof Auth>, { env }: ReadingOptions): LocalSettings {
  const local = noLocalSettings();
  for (const [key, { username = "", password = "", insecure }] of Object.entries(auth)) {
    const place = placeOf(key);
    const [user, secret] = [fromEnvironment(username, env), fromEnvironment(password, env)];
    if (user !== "" || secret !== "") {
      local.credentials.set(place, { kind: "basic", username: user, password: secret });
    }
    if (insecure === true) {
      const [host = place] = place.split("/");
      local.hosts[host] = { tls: "disabled" };
    }
  }
  return local;
}

/** A value that is `$NAME` or `${NAME}` as a whole is the environment's. */
function fromEnvironment(value: string, env: ReadingOptions["env"]): string {
  const [, name] = /^\$\{?([A-Za-z_]\w*)\}?$/.exec(value) ?? [];
  return name === undefined ? value : (env[name] ?? "");
}
