/**
 * Amazon's names of its container registries, and the endpoints that belong to them (AWS General Reference, "Amazon ECR
 * endpoints and quotas"). Pure.
 */

export interface EcrHost {
  region: string;
  /** Where GetAuthorizationToken is asked. */
  api: string;
  /** Where the keys of a role are asked: AWS STS of the same region and network. */
  sts: string;
  isPublic: boolean;
}

/** `<account>.dkr.ecr[-fips].<region>.<suffix>`, or with dual stack `<account>.dkr-ecr[-fips].<region>.on.<suffix>`. */
const PRIVATE = /^[0-9]{12}\.dkr([.-])ecr(-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)$/;

/** Name endings of registries and, in the same order, of endpoints. */
const SUFFIXES: Readonly<Record<string, string>> = {
  "amazonaws.com": "amazonaws.com",
  "amazonaws.com.cn": "amazonaws.com.cn",
  "amazonaws.eu": "amazonaws.eu",
  "on.aws": "api.aws",
  "on.amazonwebservices.com.cn": "api.amazonwebservices.com.cn",
};

/** ECR Public is one registry, whose API is in one region. */
const PUBLIC: EcrHost = {
  region: "us-east-1",
  api: "api.ecr-public.us-east-1.amazonaws.com",
  sts: "sts.us-east-1.amazonaws.com",
  isPublic: true,
};

const PUBLIC_HOSTS: ReadonlySet<string> = new Set(["public.ecr.aws", "ecr-public.aws.com"]);

/** What Amazon's name of a registry says; null: it is no such name. The account in it does not matter to the token. */
export function parseEcrHost(host: string): EcrHost | null {
  if (PUBLIC_HOSTS.has(host)) {
    return PUBLIC;
  }
  const [, joint, fips, region, ending] = PRIVATE.exec(host) ?? [];
  const suffix = SUFFIXES[ending ?? ""];
  const isDualStack = ending?.startsWith("on.") === true;
  if (region === undefined || suffix === undefined || isDualStack !== (joint === "-")) {
    return null;
  }
  return endpointsOf(region, suffix, fips !== undefined, isDualStack);
}

/** The endpoints of a region, for a registry under a name of its own. */
export function ecrOfRegion(region: string): EcrHost {
  return endpointsOf(region, region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com", false, false);
}

function endpointsOf(region: string, suffix: string, isFips: boolean, isDualStack: boolean): EcrHost {
  const fips = isFips ? "-fips" : "";
  const ecr = isFips || isDualStack ? `ecr${fips}` : "api.ecr";
  // STS of US GovCloud is a FIPS endpoint under its plain name.
  const sts = isFips && !region.startsWith("us-gov-") ? "sts-fips" : "sts";
  return { region, api: `${ecr}.${region}.${suffix}`, sts: `${sts}.${region}.${suffix}`, isPublic: false };
}
