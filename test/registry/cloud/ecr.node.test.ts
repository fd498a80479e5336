import { describe, expect, it } from "vitest";
import { obtainEcr } from "../../../src/registry/cloud/ecr.ts";
import { ecrOfRegion, parseEcrHost } from "../../../src/registry/cloud/ecr-host.ts";
import { json, refusal } from "../support.ts";
import { checkSignature, formOf, NOW_MS, startCloud, type Asked } from "./stand-in.ts";

const KEY = { id: "AKIAEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+secret" };
const ENTRY = { kind: "ecr", access_key_id: KEY.id, secret_access_key: KEY.secret } as const;
const HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const ROLE = "arn:aws:iam::444455556666:role/mirror";
const TEMPORARY = { id: "ASIATEMPORARY", secret: "temporary/secret+key", token: "session//token==" };
const EXPIRES_AT_MS = NOW_MS + 12 * 3_600_000;
const PASSWORD = btoa("AWS:the-registry-password");

const privateAnswer = {
  authorizationData: [
    { authorizationToken: PASSWORD, expiresAt: EXPIRES_AT_MS / 1000, proxyEndpoint: `https://${HOST}` },
  ],
};

/** What the API of ECR checks before it answers. */
function checkEcr(asked: Asked, expected: Parameters<typeof checkSignature>[1], target: string): void {
  checkSignature(asked, expected, NOW_MS);
  expect(asked).toMatchObject({ method: "POST", path: "/", body: "{}" });
  expect(asked.headers).toMatchObject({ "content-type": "application/x-amz-json-1.1", "x-amz-target": target });
}

const PRIVATE_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

function stsAnswer(action: string): string {
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>
    <AccessKeyId>${TEMPORARY.id}</AccessKeyId><SecretAccessKey>${TEMPORARY.secret}</SecretAccessKey>
    <SessionToken>${TEMPORARY.token}</SessionToken><Expiration>2026-03-01T12:15:00Z</Expiration>
    </Credentials></${action}Result></${action}Response>`;
}

describe("a name of Amazon's registries", () => {
  it.each<[string, string, string, string]>([
    [HOST, "eu-west-1", "api.ecr.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"],
    [
      "999999999999.dkr.ecr.ap-southeast-2.amazonaws.com",
      "ap-southeast-2",
      "api.ecr.ap-southeast-2.amazonaws.com",
      "sts.ap-southeast-2.amazonaws.com",
    ],
    [
      "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com",
      "us-east-1",
      "ecr-fips.us-east-1.amazonaws.com",
      "sts-fips.us-east-1.amazonaws.com",
    ],
    [
      "111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
      "us-gov-west-1",
      "ecr-fips.us-gov-west-1.amazonaws.com",
      "sts.us-gov-west-1.amazonaws.com",
    ],
    ["111122223333.dkr-ecr.us-east-2.on.aws", "us-east-2", "ecr.us-east-2.api.aws", "sts.us-east-2.api.aws"],
    [
      "111122223333.dkr-ecr-fips.us-east-2.on.aws",
      "us-east-2",
      "ecr-fips.us-east-2.api.aws",
      "sts-fips.us-east-2.api.aws",
    ],
    [
      "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn",
      "cn-north-1",
      "api.ecr.cn-north-1.amazonaws.com.cn",
      "sts.cn-north-1.amazonaws.com.cn",
    ],
    [
      "111122223333.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
      "cn-northwest-1",
      "ecr.cn-northwest-1.api.amazonwebservices.com.cn",
      "sts.cn-northwest-1.api.amazonwebservices.com.cn",
    ],
    ["public.ecr.aws", "us-east-1", "api.ecr-public.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"],
  ])("%s is in %s", (host, region, api, sts) => {
    expect(parseEcrHost(host)).toEqual({ region, api, sts, isPublic: host === "public.ecr.aws" });
  });

  it.each([
    "ghcr.io",
    "11112222333.dkr.ecr.eu-west-1.amazonaws.com",
    "111122223333.dkr.ecr.eu-west-1.amazonaws.com.example.com",
    "111122223333.dkr.ecr.eu-west-1.example.com",
    "111122223333.dkr-ecr.eu-west-1.amazonaws.com",
    "111122223333.dkr.ecr.eu-west-1.on.aws",
    "x111122223333.dkr.ecr.eu-west-1.amazonaws.com",
    "111122223333.dkr.ecr.evil.com/.amazonaws.com",
  ])("%s is none", (host) => {
    expect(parseEcrHost(host)).toBeNull();
  });

  it("of one's own needs the region only", () => {
    expect(ecrOfRegion("eu-west-1").api).toBe("api.ecr.eu-west-1.amazonaws.com");
    expect(ecrOfRegion("cn-north-1").api).toBe("api.ecr.cn-north-1.amazonaws.com.cn");
  });
});

describe("ECR", () => {
  it("gives a password for a signed request, good until the time it says", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      expect(asked.host).toBe("api.ecr.eu-west-1.amazonaws.com");
      checkEcr(asked, { ...KEY, region: "eu-west-1", service: "ecr" }, PRIVATE_TARGET);
      json(response, 200, privateAnswer);
    });
    expect(await obtainEcr(cloud.options, ENTRY)).toEqual({
      kind: "basic",
      username: "AWS",
      password: "the-registry-password",
      expiresAtMs: EXPIRES_AT_MS,
    });
  });

  it("is asked with temporary keys, their token signed too", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      checkEcr(asked, { ...TEMPORARY, region: "eu-west-1", service: "ecr" }, PRIVATE_TARGET);
      json(response, 200, privateAnswer);
    });
    const entry = {
      ...ENTRY,
      access_key_id: TEMPORARY.id,
      secret_access_key: TEMPORARY.secret,
      session_token: TEMPORARY.token,
    };
    expect((await obtainEcr(cloud.options, entry)).kind).toBe("basic");
  });

  it("under a name of one's own is asked in the region of the entry", async () => {
    await using cloud = await startCloud("images.example.com", (asked, response) => {
      checkEcr(asked, { ...KEY, region: "eu-north-1", service: "ecr" }, PRIVATE_TARGET);
      json(response, 200, privateAnswer);
    });
    expect((await obtainEcr(cloud.options, { ...ENTRY, region: "eu-north-1" })).kind).toBe("basic");
    expect(await refusal(obtainEcr(cloud.options, ENTRY))).toMatchObject({ code: "configuration" });
  });

  it("Public is another API, in one region, with an answer of its own", async () => {
    await using cloud = await startCloud("public.ecr.aws", (asked, response) => {
      expect(asked.host).toBe("api.ecr-public.us-east-1.amazonaws.com");
      const expected = { ...KEY, region: "us-east-1", service: "ecr-public" };
      checkEcr(asked, expected, "SpencerFrontendService.GetAuthorizationToken");
      json(response, 200, { authorizationData: { authorizationToken: PASSWORD } });
    });
    // Without a time in the answer it is good for twelve hours.
    expect(await obtainEcr(cloud.options, ENTRY)).toMatchObject({
      password: "the-registry-password",
      expiresAtMs: EXPIRES_AT_MS,
    });
  });

  it("is asked with the keys of a role", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      if (asked.host === "sts.eu-west-1.amazonaws.com") {
        checkSignature(asked, { ...KEY, region: "eu-west-1", service: "sts" }, NOW_MS);
        expect(formOf(asked)).toEqual({
          Action: "AssumeRole",
          Version: "2011-06-15",
          RoleArn: ROLE,
          RoleSessionName: "drayage",
          DurationSeconds: "900",
          ExternalId: "agreed",
        });
        response.end(stsAnswer("AssumeRole"));
      } else {
        checkEcr(asked, { ...TEMPORARY, region: "eu-west-1", service: "ecr" }, PRIVATE_TARGET);
        json(response, 200, privateAnswer);
      }
    });
    await obtainEcr(cloud.options, { ...ENTRY, role_arn: ROLE, external_id: "agreed" });
    expect(cloud.asked).toHaveLength(2);
  });

  it("needs no keys where the role trusts another issuer's token", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      if (asked.host === "sts.eu-west-1.amazonaws.com") {
        expect(asked.headers.authorization).toBeUndefined();
        expect(formOf(asked)).toEqual({
          Action: "AssumeRoleWithWebIdentity",
          Version: "2011-06-15",
          RoleArn: ROLE,
          RoleSessionName: "nightly",
          DurationSeconds: "900",
          WebIdentityToken: "a.web.token",
        });
        response.end(stsAnswer("AssumeRoleWithWebIdentity"));
      } else {
        checkEcr(asked, { ...TEMPORARY, region: "eu-west-1", service: "ecr" }, PRIVATE_TARGET);
        json(response, 200, privateAnswer);
      }
    });
    const identity = { token: "a.web.token" };
    await obtainEcr(cloud.options, { kind: "ecr", role_arn: ROLE, role_session_name: "nightly", identity });
    expect(cloud.asked).toHaveLength(2);
  });

  it.each<[string, number, string, object]>([
    [
      "a key it does not know",
      400,
      '{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}',
      { code: "unauthorized", retryable: false, status: 400 },
    ],
    [
      "too many requests, which it calls a bad one",
      400,
      '{"__type":"ThrottlingException","message":"Rate exceeded"}',
      { code: "rate_limited", retryable: true },
    ],
    ["a fault of its own", 503, "", { code: "unavailable", retryable: true }],
    ["an answer without a password", 200, '{"authorizationData":[]}', { code: "unauthorized", retryable: false }],
    [
      "a password that is none",
      200,
      '{"authorizationData":[{"authorizationToken":"%%%"}]}',
      { code: "unauthorized", retryable: false },
    ],
  ])("answers %s, and the error tells it", async (_what, status, body, expected) => {
    await using cloud = await startCloud(HOST, (_asked, response) => response.writeHead(status).end(body));
    const detail = await refusal(obtainEcr(cloud.options, ENTRY));
    expect(detail).toMatchObject({ operation: "authorize", host: HOST, ...expected });
    expect(detail.message).toContain(HOST);
    expect(detail.message).not.toContain(KEY.secret);
  });

  it("keeps what was sent to it out of the error that sends it back", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      const said = `<Error><Code>SignatureDoesNotMatch</Code><Message>Canonical: ${String(asked.headers["x-amz-security-token"])}</Message></Error>`;
      response.writeHead(403).end(`<ErrorResponse>${said}</ErrorResponse>`);
    });
    const detail = await refusal(obtainEcr(cloud.options, { ...ENTRY, session_token: TEMPORARY.token }));
    expect(detail.message).toContain("SignatureDoesNotMatch: Canonical: [secret]");
    expect(detail.message).toContain("REGISTRY_CREDENTIALS");
    expect(JSON.stringify(cloud.lines)).not.toMatch(/AKIA|secret|session/);
  });
});
