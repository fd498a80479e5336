/** Deliveries as registries and what stands before them really send them: sparse, packed, in forms, and damaged. */
import { gzipSync, deflateSync, brotliCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Hook, SenderName } from "../../src/hooks/contract.ts";
import { MAX_DELIVERY_BYTES } from "../../src/hooks/body.ts";
import * as payloads from "./payloads.ts";
import { distribution, registryEvent } from "./payloads.ts";
import { hmacHex, send, SHA, type Sent } from "./support.ts";

const SECRET = "a secret of these tests";

const json = (body: unknown, headers: Record<string, string> = {}): Sent => ({
  body,
  headers: { "content-type": "application/json; charset=utf-8", ...headers },
});

function nameOf(push: { registryHost: string; repository: string; tag?: string; digest?: string }): string {
  const tag = push.tag === undefined ? "" : `:${push.tag}`;
  return `${push.registryHost}/${push.repository}${tag}${push.digest === undefined ? "" : `@${push.digest}`}`;
}

interface Case {
  is: string;
  sent: Sent;
  hook?: Partial<Hook>;
  sender: SenderName;
  pushes: string[];
}

const cases: Case[] = [
  {
    is: "Docker Hub, the least that it says",
    sent: json({ push_data: { tag: "1.4" }, repository: { repo_name: "team/app" } }),
    sender: "dockerhub",
    pushes: ["docker.io/team/app:1.4"],
  },
  {
    is: "GHCR under its first name",
    sent: json(payloads.ghcr("package"), { ...payloads.ghcrHeaders, "x-github-event": "package_v2" }),
    sender: "ghcr",
    pushes: [`ghcr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "GitHub's registry before GHCR, whose package is in a repository",
    sent: json(
      payloads.ghcr(
        "registry_package",
        {
          version: "1.4",
          name: SHA,
          container_metadata: undefined,
          package_url: "docker.pkg.github.com/Team/app/web:1.4",
        },
        { package_type: "docker", ecosystem: "docker", name: "web" },
      ),
      { ...payloads.ghcrHeaders, "x-github-event": "registry_package" },
    ),
    sender: "ghcr",
    pushes: [`docker.pkg.github.com/team/app/web:1.4@${SHA}`],
  },
  {
    is: "Harbor with a scheme before its addresses",
    sent: json(
      payloads.harbor(
        "PUSH_ARTIFACT",
        payloads.harborData({ digest: SHA, tag: "1.4", resource_url: "https://harbor.example.com/team/app:1.4" }),
      ),
    ),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Harbor with the namespace in the name, and addresses without host",
    hook: { registryHost: "harbor.example.com" },
    sent: json(
      payloads.harbor("PUSH_ARTIFACT", {
        resources: [{ digest: SHA, tag: "1.4", resource_url: "team/app:1.4" }],
        repository: { name: "team/app", namespace: "team" },
      }),
    ),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Harbor with nothing but names and a tag",
    hook: { registryHost: "harbor.example.com" },
    sent: json(
      payloads.harbor("PUSH_ARTIFACT", {
        resources: [{ tag: "1.4" }],
        repository: { name: "app", namespace: "team" },
      }),
    ),
    sender: "harbor",
    pushes: ["harbor.example.com/team/app:1.4"],
  },
  {
    is: "Quay without docker_url, its host from the page",
    sent: json({ repository: "team/app", homepage: "https://quay.io/repository/team/app", updated_tags: ["1.4"] }),
    sender: "quay",
    pushes: ["quay.io/team/app:1.4"],
  },
  {
    is: "Quay in the least words, at the hook's own host",
    hook: { registryHost: "quay.example.com" },
    sent: json({ repository: "team/app", updated_tags: ["1.4", "latest"] }),
    sender: "quay",
    pushes: ["quay.example.com/team/app:1.4", "quay.example.com/team/app:latest"],
  },
  {
    is: "ACR by digest alone",
    hook: { untagged: true },
    sent: json({ ...payloads.acr, target: { ...payloads.acr.target, tag: undefined } }),
    sender: "acr",
    pushes: [`example.azurecr.io/team/app@${SHA}`],
  },
  {
    is: "Event Grid in Azure's own letters of case",
    sent: json([{ ...payloads.gridEvent("MICROSOFT.CONTAINERREGISTRY.IMAGEPUSHED"), extra: 1 }], {
      "aeg-event-type": "Notification",
      "aeg-subscription-name": "DRAYAGE",
    }),
    sender: "acr",
    pushes: [`example.azurecr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "ECR, pulled through its cache",
    sent: json(
      payloads.ecr(
        {
          "action-type": undefined,
          result: undefined,
          "sync-status": "SUCCESS",
          "ecr-repository-prefix": "docker-hub",
          "repository-name": "docker-hub/library/alpine",
          "upstream-registry-url": "registry-1.docker.io",
        },
        { "detail-type": "ECR Pull Through Cache Action" },
      ),
    ),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/library/alpine:1.4@${SHA}`],
  },
  {
    is: "ECR in lower case, without a result",
    sent: json(payloads.ecr({ "action-type": "push", result: undefined })),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Google in base64 for addresses, without padding",
    sent: json({
      message: { data: Buffer.from(JSON.stringify(payloads.google({ x: "??>>" }))).toString("base64url") },
      subscription: "s",
    }),
    sender: "google",
    pushes: [`europe-docker.pkg.dev/p/repo/app:1.4@${SHA}`],
  },
  {
    is: "Google's older registry, by digest alone",
    hook: { untagged: true },
    sent: json(payloads.pubSub({ action: "INSERT", digest: `gcr.io/p/app@${SHA}` })),
    sender: "google",
    pushes: [`gcr.io/p/app@${SHA}`],
  },
  {
    is: "JFrog, a cache of another registry, known by its header alone",
    hook: { registryHost: "example.jfrog.io" },
    sent: json(
      {
        domain: "docker",
        event_type: "pushed",
        data: { repo_key: "docker-remote-cache", image_name: "library/alpine", tag: "1.4" },
      },
      { "x-jfrog-event-auth": "none" },
    ),
    sender: "jfrog",
    pushes: ["example.jfrog.io/docker-remote-cache/library/alpine:1.4"],
  },
  {
    is: "Gitea, an image below an image, on a server below a path",
    sent: json(
      payloads.gitea({ name: "app/web", html_url: "https://example.com/git/Team/-/packages/container/app%2Fweb/1.4" }),
      payloads.giteaHeaders,
    ),
    sender: "gitea",
    pushes: ["example.com/team/app/web:1.4"],
  },
  {
    is: "zot, structured, its data as text",
    hook: { registryHost: "zot.example.com" },
    sent: json(
      {
        specversion: "1.0",
        id: "1",
        source: "zotregistry.dev",
        type: "zotregistry.image.updated",
        datacontenttype: "application/json",
        data: JSON.stringify(payloads.zotData()),
      },
      { "content-type": "application/cloudevents+json; charset=UTF-8" },
    ),
    sender: "zot",
    pushes: [`zot.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "GitLab's registry with GitLab's own header",
    sent: {
      ...distribution(registryEvent({ tag: "1.4" })),
      headers: { "content-type": "application/vnd.docker.distribution.events.v1+json", "x-gitlab-event": "x" },
    },
    sender: "gitlab",
    pushes: [`registry.example.com:5000/team/app:1.4@${SHA}`],
  },
  {
    is: "Alibaba Cloud without a digest",
    sent: json({ ...payloads.aliyun, push_data: { tag: "1.4" } }),
    sender: "aliyun",
    pushes: ["registry.cn-hangzhou.aliyuncs.com/team/app:1.4"],
  },
  {
    is: "Nexus, an asset without a slash before it, updated",
    hook: { registryHost: "nexus.example.com" },
    sent: json({ ...payloads.nexusAsset("v2/team/app/manifests/1.4"), action: "UPDATED" }, payloads.nexusHeaders),
    sender: "nexus",
    pushes: ["nexus.example.com/team/app:1.4"],
  },
];

describe("a delivery is read", () => {
  it.each(cases)("$is", async ({ sent, hook, sender, pushes }) => {
    const outcome = await send(hook ?? {}, sent);
    expect(outcome.pushes?.map(nameOf), JSON.stringify(outcome.answer)).toEqual(pushes);
    expect(outcome.answer).toMatchObject({ outcome: "started", sender });
  });
});

const PING: Sent[] = [
  json({ id: "1", timestamp: "2026-11-24T07:59:59Z", action: "ping" }, { "user-agent": "AzureContainerRegistry/1.0" }),
  json({ id: "1", timestamp: "2026-11-24T07:59:59Z", action: "ping" }),
  json({ zen: "Keep it logically awesome.", hook_id: 1, hook: {} }, { "x-github-event": "ping" }),
  json({ ref: "refs/heads/main", commits: [] }, payloads.giteaHeaders),
];
it.each(PING)("a ping is answered with 200 (%#)", async (sent) => {
  const { status, answer, pushes } = await send({}, sent);
  expect([status, answer, pushes]).toMatchObject([200, { outcome: "pong" }, null]);
});

describe("a body in another form", () => {
  const text = JSON.stringify(payloads.ghcr("package"));
  const form = new URLSearchParams({ payload: text }).toString();
  const FORM = "application/x-www-form-urlencoded; charset=utf-8";
  const signedAs = async (what: string, header = "x-hub-signature-256", prefix = "sha256=") => ({
    [header]: `${prefix}${await hmacHex("SHA-256", SECRET, what)}`,
  });
  const hook = { secrets: [SECRET] };

  it.each<[string, (bytes: Buffer) => Uint8Array, string]>([
    ["gzip", gzipSync, "gzip"],
    ["gzip, as HTTP once called it", gzipSync, "x-gzip"],
    ["deflate", deflateSync, "Deflate"],
    ["nothing", (bytes) => bytes, "identity"],
  ])("packed in %s is unpacked, and its signature may be over either", async (_what, pack, encoding) => {
    const headers = { ...payloads.ghcrHeaders, "content-encoding": encoding };
    const body = Uint8Array.from(pack(Buffer.from(text)));
    expect((await send(hook, { body, headers: { ...headers, ...(await signedAs(text)) } })).status).toBe(202);
    expect((await send(hook, { body, headers: { ...headers, ...(await signedAs(`${text} `)) } })).status).toBe(401);
  });

  it.each<[string, Uint8Array, string, number]>([
    ["in a way that is not known", brotliCompressSync(text), "br", 400],
    ["otherwise than it says", Buffer.from(text), "gzip", 400],
    ["and cut off", gzipSync(text).subarray(0, 60), "gzip", 400],
    ["to far less than it is", gzipSync(Buffer.alloc(MAX_DELIVERY_BYTES * 4, " ")), "gzip", 413],
  ])("packed %s is refused", async (_what, packed, encoding, status) => {
    const headers = { ...payloads.ghcrHeaders, "content-encoding": encoding };
    expect((await send({}, { body: Uint8Array.from(packed), headers })).status).toBe(status);
  });

  it.each([
    ["GitHub signs the whole of", payloads.ghcrHeaders, form, 202],
    ["GitHub never signed", payloads.ghcrHeaders, `${form}&x=1`, 401],
  ])("a form that %s", async (_what, given, over, status) => {
    const headers = { ...given, "content-type": FORM, ...(await signedAs(over)) };
    expect((await send(hook, { body: form, headers })).status).toBe(status);
  });

  it.each([
    ["over its payload alone, as Gitea does", (payload: string) => payload, 202],
    ["over something else", (payload: string) => `${payload} `, 401],
  ])("a form signed %s", async (_what, over, status) => {
    const payload = JSON.stringify(payloads.gitea());
    const body = new URLSearchParams({ payload }).toString();
    const signature = await signedAs(over(payload), "x-gitea-signature", "");
    expect(
      (await send(hook, { body, headers: { ...payloads.giteaHeaders, "content-type": FORM, ...signature } })).status,
    ).toBe(status);
  });

  it("a signature in upper case is the same", async () => {
    const mac = (await hmacHex("SHA-256", SECRET, text)).toUpperCase();
    const headers = { ...payloads.ghcrHeaders, "x-hub-signature-256": `SHA256=${mac}` };
    expect((await send(hook, { body: text, headers })).status).toBe(202);
  });

  it("a byte order mark is no part of the JSON, but of what is signed", async () => {
    const body = `\uFEFF${text}`;
    expect((await send(hook, { body, headers: { ...payloads.ghcrHeaders, ...(await signedAs(body)) } })).status).toBe(
      202,
    );
    expect((await send(hook, { body, headers: { ...payloads.ghcrHeaders, ...(await signedAs(text)) } })).status).toBe(
      401,
    );
  });
});

describe("damage", () => {
  const all: [string, Sent][] = [
    ["distribution", distribution(registryEvent({ tag: "1.4" }))],
    ["Docker Hub", json(payloads.dockerHub)],
    ["GHCR", json(payloads.ghcr("package"), payloads.ghcrHeaders)],
    ["Harbor", json(payloads.harbor())],
    ["Harbor's CloudEvent", json(payloads.harborCloudEvent())],
    ["Quay", json(payloads.quay)],
    ["ACR", json(payloads.acr)],
    ["Event Grid", json([payloads.gridEvent()])],
    ["ECR", json(payloads.ecr())],
    ["Google", json(payloads.pubSub(payloads.google()))],
    ["JFrog", json(payloads.jfrog())],
    ["Gitea", json(payloads.gitea(), payloads.giteaHeaders)],
    ["zot", { body: payloads.zotData(), headers: payloads.zotHeaders() }],
    ["Alibaba Cloud", json(payloads.aliyun)],
    ["Nexus", json(payloads.nexus(), payloads.nexusHeaders)],
    ["generic", json({ image: "registry.example.com/team/app", tags: ["1.4"], digest: SHA })],
  ];
  const IN_ITS_PLACE = [null, [], {}, 0, true, "", "x", [[{}]], { a: [null] }];

  it.each(all)(
    "of any part of what %s sends is answered, and nothing that is no name is ever started",
    async (_who, sent) => {
      let tried = 0;
      for (const body of damaged(sent.body)) {
        const outcome = await send({ registryHost: "registry.example.com", untagged: true }, { ...sent, body });
        tried += 1;
        expect([200, 202, 400]).toContain(outcome.status);
        for (const { repository, tag, digest } of outcome.pushes ?? []) {
          expect(repository).toMatch(/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/);
          expect(tag ?? digest).toMatch(/^[\w][\w.:-]*$/);
        }
      }
      expect(tried).toBeGreaterThan(IN_ITS_PLACE.length);
    },
  );

  /** The value with each of its parts replaced, one at a time. */
  function* damaged(value: unknown): Generator {
    yield* IN_ITS_PLACE;
    if (Array.isArray(value)) {
      for (const [at, inner] of value.entries()) {
        for (const changed of damaged(inner)) {
          yield value.with(at, changed);
        }
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [name, inner] of Object.entries(value)) {
        for (const changed of damaged(inner)) {
          yield { ...value, [name]: changed };
        }
      }
    }
  }
});
