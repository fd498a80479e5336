/** The file of `skopeo sync --src yaml`, as requests for the API. Pure. */
import * as z from "zod";
import { isLoopback } from "../../registry/address.ts";
import { placeOf, type Credential } from "../../registry/credentials.ts";
import { describeDigestFault } from "../../registry/digest.ts";
import { formatReference, isTag, type Reference } from "../../registry/reference.ts";
import { noLocalSettings, type Path, type PlannedCopy, type ReadingOptions, type SyncPlan } from "./contract.ts";
import { checkedBy, refuse, SyncFileError, type FileFault } from "./faults.ts";
import { anywhere, nameOf, repositoryText } from "./names.ts";
import { Notes } from "./notes.ts";

const text = z.string("must be text");

const byRepository = (what: string) =>
  z
    .record(z.string(), text, `must be an object: for each repository ${what}`)
    .nullish()
    .transform((value) => value ?? {});

const Registry = z
  .strictObject(
    {
      images: z
        .record(
          z.string(),
          z.array(text, "must be a list of tags and digests").nullable(),
          "must be an object: for each repository a list of tags and digests",
        )
        .nullish()
        .transform((value) => value ?? {}),
      "images-by-tag-regex": byRepository("a regular expression"),
      "images-by-semver": byRepository("a range of versions"),
      credentials: z
        .strictObject(
          { username: text.nullish(), password: text.nullish(), identitytoken: text.nullish() },
          "must be an object with username and password",
        )
        .nullish(),
      "tls-verify": z.boolean("must be true or false").nullish(),
      "cert-dir": text.nullish(),
    },
    "must be an object with images, images-by-tag-regex or images-by-semver",
  )
  .nullable();

type Credentials = Partial<NonNullable<NonNullable<z.output<typeof Registry>>["credentials"]>>;

const File = z.record(z.string(), Registry, "must be an object: for each registry its images");

/** @throws SyncFileError with everything that is wrong. */
export function readSkopeo(data: unknown, { to, scoped = false }: ReadingOptions): SyncPlan {
  const file = checkedBy(File, data);
  if (to === undefined) {
    refuse(null, "this format names no target; give one with --to HOST[/PREFIX]");
  }
  const notes = new Notes();
  const faults: FileFault[] = [];
  const local = noLocalSettings();
  const copies: PlannedCopy[] = [];
  for (const [registry, settings] of Object.entries(file)) {
    if (settings === null) {
      notes.add(registry, [registry], "has no images");
      continue;
    }
    copies.push(...copiesOf(registry, settings, (source) => targetOf(to, source, scoped), faults));
    const { credentials, "tls-verify": verify, "cert-dir": certificates } = settings;
    const credential = credentialOf(credentials ?? {});
    if (credential !== null) {
      local.credentials.set(placeOf(registry), credential);
      notes.add(
        "credentials",
        [registry, "credentials"],
        "are used for this run; `docker login` keeps them out of the file",
      );
    }
    if (verify === false && !isLoopback(registry.replace(/:\d+$/, ""))) {
      notes.add(
        "tls-verify: false",
        [registry, "tls-verify"],
        "not honoured; certificates are checked. --ca FILE trusts one, --plain-http HOST is for registries without TLS",
      );
    }
    if (certificates) {
      notes.add("cert-dir", [registry, "cert-dir"], "not honoured; trust the certificate with --ca FILE");
    }
  }
  if (faults.length > 0) {
    throw new SyncFileError(faults);
  }
  return { format: "skopeo", copies, registries: [], unserved: [], notes: notes.all, local };
}

function credentialOf({ username, password, identitytoken: token }: Credentials): Credential | null {
  if (token) {
    return { kind: "identity", token, username: username ?? "" };
  }
  return username || password ? { kind: "basic", username: username ?? "", password: password ?? "" } : null;
}

/** Where a repository goes: its last part below `to`, or its whole name with `--scoped`. */
export function targetOf(to: string, source: Reference, scoped: boolean): string {
  const { host, repository } = source;
  // A port's colon cannot be in a repository.
  const name = scoped
    ? `${host.replaceAll(/[^A-Za-z0-9.-]+/g, "-")}/${repository}`
    : repository.slice(repository.lastIndexOf("/") + 1);
  return `${to.replace(/\/+$/, "")}/${name}`;
}

function copiesOf(
  registry: string,
  settings: NonNullable<z.output<typeof Registry>>,
  target: (source: Reference) => string,
  faults: FileFault[],
): PlannedCopy[] {
  const copies: PlannedCopy[] = [];
  const repository = (name: string, path: Path): Reference | null => {
    const { name: source, fault } = nameOf(`${registry}/${name}`, "repository");
    const isImage = source !== null && (source.tag ?? source.digest) !== undefined;
    if (source === null || isImage) {
      faults.push({ path, message: fault ?? "names a single image; list its tag below the repository" });
      return null;
    }
    return source;
  };
  for (const [name, references] of Object.entries(settings.images)) {
    const path = [registry, "images", name];
    const source = repository(name, path);
    if (source === null) {
      continue;
    }
    if (references === null || references.length === 0) {
      copies.push({ body: { source: repositoryText(source), target: target(source) }, path });
    }
    for (const [at, reference] of (references ?? []).entries()) {
      const image = imageOf(source, reference);
      if (image === null) {
        faults.push({ path: [...path, at], message: `${JSON.stringify(reference)} is neither a tag nor a digest` });
      } else {
        const suffix = image.digest === undefined ? `:${reference}` : `@${reference}`;
        copies.push({
          body: { source: formatReference(image), target: `${target(source)}${suffix}` },
          path: [...path, at],
        });
      }
    }
  }
  for (const [key, tags] of [
    ["images-by-tag-regex", (value: string) => ({ include: [anywhere(value)] })],
    ["images-by-semver", (value: string) => ({ semver: value })],
  ] as const) {
    for (const [name, value] of Object.entries(settings[key])) {
      const path = [registry, key, name];
      const source = repository(name, path);
      if (source !== null) {
        copies.push({ body: { source: repositoryText(source), target: target(source), tags: tags(value) }, path });
      }
    }
  }
  return copies;
}

function imageOf(source: Reference, reference: string): Reference | null {
  if (describeDigestFault(reference) === null) {
    return { ...source, digest: reference };
  }
  return isTag(reference) ? { ...source, tag: reference } : null;
}
