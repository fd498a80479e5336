/** Asks a service what it finds about itself, and says what its answers, or their absence, mean. */
import { fail, FINDING_STATES, ok, warn, type Finding, type Report } from "../../doctor/contract.ts";
import { VERSION } from "../../registry/user-agent.ts";
import { ServiceClient, ServiceError, type ServiceAddress } from "../client.ts";

/** What the service reports, after what can be told from outside. `registry`: have it ask this host too. */
export async function serviceFindings(
  address: ServiceAddress,
  registry: string | undefined,
  signal: AbortSignal,
): Promise<Report> {
  const origin = new URL(address.url).origin;
  const query = registry === undefined ? "" : `?registry=${encodeURIComponent(registry)}`;
  try {
    const report = await new ServiceClient(address).ask("GET", `/v1/doctor${query}`, signal);
    if (!isReport(report)) {
      return alone(
        fail("service", `What answers at ${origin} is not Drayage, or another version of it.`, "Look at the address."),
      );
    }
    return {
      version: report.version,
      findings: [
        ok("service", `${origin} answers, and takes the token.`),
        ...(report.version === VERSION
          ? []
          : [
              warn(
                "version",
                `The service is ${report.version ?? "unknown"}, this command ${VERSION}.`,
                "Update the one that is behind.",
              ),
            ]),
        ...report.findings,
      ],
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) {
      throw error;
    }
    return alone(meaningOf(error, origin, address.token !== null));
  }
}

function meaningOf({ problem }: ServiceError, origin: string, hasToken: boolean): Finding {
  const { status, detail } = problem;
  if (status === 0) {
    return fail("service", detail, "Look at the address, and whether the service is deployed or running.");
  }
  if (status === 401) {
    return fail(
      "token",
      hasToken ? "The service does not take the token." : "There is no token to show to the service.",
      "Set DRAYAGE_TOKEN to a token whose hash is in TOKENS (`drayage token` makes one), or to a key.",
    );
  }
  if (status === 403) {
    return fail(
      "token",
      detail,
      "Use a token of the operator, or a key with the action registries and all sources and targets.",
    );
  }
  if (status === 404) {
    return fail(
      "service",
      `${origin} is not Drayage, or a version before this question.`,
      "Look at the address, or deploy a newer version.",
    );
  }
  return fail("service", `${origin} answers ${status}: ${detail}`, "Mend what it says, and deploy.");
}

function alone(finding: Finding): Report {
  return { version: null, findings: [finding] };
}

function isReport(value: unknown): value is Report {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    "findings" in value &&
    Array.isArray(value.findings) &&
    value.findings.every(isFinding)
  );
}

function isFinding(value: unknown): value is Finding {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    "message" in value &&
    "fix" in value &&
    "state" in value &&
    FINDING_STATES.some((state) => state === value.state)
  );
}
