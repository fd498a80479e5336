/**
 * Platforms: as users write them, in the one form they are compared in, and which image runs on which. By containerd's
 * rules, so that what is copied is what a container runtime would pull. Pure.
 */

export interface Platform {
  os: string;
  architecture: string;
  /** Missing for the architecture's base: `amd64` is v1, `arm64` is v8. 32-bit arm always has one. */
  variant?: string;
  /** `10.0.17763.1999`, for Windows. */
  osVersion?: string;
}

/** `linux/arm64`, `linux/arm/v7`, `windows(10.0.17763)/amd64`. */
const PLATFORM =
  /^([A-Za-z0-9_-]{1,64})(?:\(([A-Za-z0-9_.-]{1,64})\))?\/([A-Za-z0-9_-]{1,64})(?:\/([A-Za-z0-9_.-]{1,64}))?$/;

/** Other names of architectures, as kernels and distributions have them, with the variant they imply. */
const ARCHITECTURES: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  i386: { architecture: "386" },
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
};

const OPERATING_SYSTEMS: Readonly<Record<string, string>> = { macos: "darwin" };

/** The variant that an architecture has when none is said. */
const BASE_VARIANTS: Readonly<Record<string, string>> = { amd64: "v1", arm64: "v8", riscv64: "rva20u64" };

/** 32-bit arm without a variant is v7 to containerd. */
const PLAIN_ARM = "v7";

/** Reads `os/architecture[/variant]`, with `os(version)` for Windows; null: it is none. */
export function parsePlatform(text: string): Platform | null {
  const parts = PLATFORM.exec(text);
  if (parts === null) {
    return null;
  }
  const [, os = "", osVersion, architecture = "", variant] = parts;
  return normalisePlatform({
    os,
    architecture,
    ...(variant === undefined ? {} : { variant }),
    ...(osVersion === undefined ? {} : { osVersion }),
  });
}

/** The one form of a platform: usual names, and no variant where it says nothing. */
export function normalisePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const written = platform.architecture.toLowerCase();
  const known = ARCHITECTURES[written];
  const architecture = known?.architecture ?? written;
  const said = known?.variant ?? platform.variant?.toLowerCase() ?? "";
  const variant = normaliseVariant(architecture, said);
  return {
    os: OPERATING_SYSTEMS[os] ?? os,
    architecture,
    ...(variant === "" ? {} : { variant }),
    ...(platform.osVersion === undefined ? {} : { osVersion: platform.osVersion }),
  };
}

export function formatPlatform({ os, architecture, variant, osVersion }: Platform): string {
  const system = osVersion === undefined ? os : `${os}(${osVersion})`;
  return `${system}/${architecture}${variant === undefined ? "" : `/${variant}`}`;
}

/**
 * How well an image of platform `has` does where `wants` is asked for, both normalised: 0 for the very same, more for an
 * older variant of the architecture, which runs there too (`arm/v6` on `arm/v7`); null: it does not run there.
 */
export function distanceOf(has: Platform, wants: Platform): number | null {
  if (has.os !== wants.os || has.architecture !== wants.architecture || !hasVersion(has.osVersion, wants.osVersion)) {
    return null;
  }
  if (has.variant === wants.variant) {
    return 0;
  }
  const hasLevel = levelOf(has);
  const wantsLevel = levelOf(wants);
  return hasLevel !== null && wantsLevel !== null && hasLevel <= wantsLevel ? wantsLevel - hasLevel : null;
}

/** Windows images run on their own build only: `10.0.17763` is every revision of it. */
function hasVersion(has: string | undefined, wants: string | undefined): boolean {
  return wants === undefined || has === wants || (has?.startsWith(`${wants}.`) ?? false);
}

/** `v8.0` and `8` are `v8`, which for arm64 says nothing. */
function normaliseVariant(architecture: string, said: string): string {
  const number = /^v?(\d+)(?:\.0)?$/.exec(said)?.[1];
  const variant = number === undefined ? said : `v${number}`;
  if (architecture === "arm") {
    return variant === "" ? PLAIN_ARM : variant;
  }
  if (architecture === "386" || variant === BASE_VARIANTS[architecture]) {
    return "";
  }
  return variant;
}

/** `v7` is 7, `v9.2` is 9.2; null for variants without an order. */
function levelOf({ architecture, variant }: Platform): number | null {
  const text = variant ?? BASE_VARIANTS[architecture] ?? "";
  const number = /^v(\d+(?:\.\d+)?)$/.exec(text)?.[1];
  return number === undefined ? null : Number(number);
}
