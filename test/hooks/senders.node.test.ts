/** What each sender's deliveries are read into, with `sender: "auto"`: so the table's order is tested as well. */
import { describe, expect, it } from "vitest";
import type { Hook, SenderName } from "../../src/hooks/contract.ts";
import * as payloads from "./payloads.ts";
import { distribution, registryEvent } from "./payloads.ts";
import { json, OTHER_SHA, send, SHA, type Sent } from "./support.ts";

const PUSHED_AT_MS = Date.parse("2026-11-24T07:59:59Z");
const IMAGE = "application/vnd.oci.image.manifest.v1+json";

interface Case {
  is: string;
  sent: Sent;
  hook?: Partial<Hook>;
  sender: SenderName;
  /** `host/repository[:tag][@digest]` of each push. */
  pushes: string[];
}

const cases: Case[] = [
  {
    is: "distribution, one of many events",
    sent: distribution(
      registryEvent({ action: "pull", tag: "1.4" }),
      registryEvent({ mediaType: "application/octet-stream" }),
      registryEvent({ tag: "1.4" }),
      registryEvent({ action: "mount", mediaType: "application/octet-stream" }),
      registryEvent({ tag: "latest" }),
      registryEvent({ repository: "other/thing", tag: "2" }),
    ),
    sender: "distribution",
    pushes: [
      `registry.example.com:5000/team/app:1.4@${SHA}`,
      `registry.example.com:5000/team/app:latest@${SHA}`,
      `registry.example.com:5000/other/thing:2@${SHA}`,
    ],
  },
  {
    is: "distribution, the second version's content type",
    sent: {
      ...distribution(registryEvent({ tag: "1.4" })),
      headers: { "content-type": "application/vnd.docker.distribution.events.v2+json" },
    },
    sender: "distribution",
    pushes: [`registry.example.com:5000/team/app:1.4@${SHA}`],
  },
  {
    is: "distribution without a content type",
    sent: {
      body: JSON.stringify({ events: [registryEvent({ tag: "1.4" })] }),
      headers: { "content-type": "text/plain" },
    },
    sender: "distribution",
    pushes: [`registry.example.com:5000/team/app:1.4@${SHA}`],
  },
  {
    is: "distribution, a manifest without tag where the hook wants those",
    hook: { untagged: true },
    sent: distribution(registryEvent({}), registryEvent({ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" })),
    sender: "distribution",
    pushes: [`registry.example.com:5000/team/app@${SHA}`],
  },
  {
    is: "GitLab's registry",
    sent: {
      ...distribution(registryEvent({ tag: "1.4" })),
      headers: { "content-type": "application/vnd.docker.distribution.events.v1+json", "x-gitlab-token": "t" },
    },
    sender: "gitlab",
    pushes: [`registry.example.com:5000/team/app:1.4@${SHA}`],
  },
  { is: "Docker Hub", sent: json(payloads.dockerHub), sender: "dockerhub", pushes: ["docker.io/team/app:1.4"] },
  {
    is: "Docker Hub, an official image",
    sent: json({ ...payloads.dockerHub, repository: { repo_name: "alpine", is_official: true } }),
    sender: "dockerhub",
    pushes: ["docker.io/library/alpine:1.4"],
  },
  {
    is: "GHCR, package",
    sent: json(payloads.ghcr("package"), payloads.ghcrHeaders),
    sender: "ghcr",
    pushes: [`ghcr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "GHCR, registry_package, updated",
    sent: json(payloads.ghcr("registry_package", {}, {}, "updated"), {
      ...payloads.ghcrHeaders,
      "x-github-event": "registry_package",
    }),
    sender: "ghcr",
    pushes: [`ghcr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "GHCR as a form",
    sent: {
      body: new URLSearchParams({ payload: JSON.stringify(payloads.ghcr("package")) }).toString(),
      headers: { ...payloads.ghcrHeaders, "content-type": "application/x-www-form-urlencoded" },
    },
    sender: "ghcr",
    pushes: [`ghcr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "GHCR, the name in the parts only, the tag in the metadata only",
    sent: json(payloads.ghcr("package", { package_url: "" }, { package_type: "docker" }), payloads.ghcrHeaders),
    sender: "ghcr",
    pushes: [`ghcr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "GHCR without tag, which ends the address with a colon",
    hook: { untagged: true },
    sent: json(
      payloads.ghcr("package", {
        package_url: "ghcr.io/Team/app:",
        container_metadata: { tag: { name: "", digest: "" } },
      }),
      payloads.ghcrHeaders,
    ),
    sender: "ghcr",
    pushes: [`ghcr.io/team/app@${SHA}`],
  },
  {
    is: "Harbor",
    sent: json(payloads.harbor()),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Harbor, several tags of one push, at a port",
    sent: json(
      payloads.harbor(
        "PUSH_ARTIFACT",
        payloads.harborData(
          { digest: SHA, tag: "1.4", resource_url: "harbor.example.com:8443/team/app:1.4" },
          { digest: SHA, tag: "latest", resource_url: "harbor.example.com:8443/team/app:latest" },
        ),
      ),
    ),
    sender: "harbor",
    pushes: [`harbor.example.com:8443/team/app:1.4@${SHA}`, `harbor.example.com:8443/team/app:latest@${SHA}`],
  },
  {
    is: "Harbor 1.x, whose host has no dot, by the hook's own name",
    hook: { registryHost: "harbor.example.com" },
    sent: json(
      payloads.harbor(
        "pushImage",
        payloads.harborData({ digest: SHA, tag: "1.4", resource_url: "harbor/team/app:1.4" }),
      ),
    ),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Harbor with a digest as its tag",
    hook: { untagged: true },
    sent: json(
      payloads.harbor(
        "PUSH_ARTIFACT",
        payloads.harborData({ digest: SHA, tag: SHA, resource_url: `harbor.example.com/team/app@${SHA}` }),
      ),
    ),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app@${SHA}`],
  },
  {
    is: "Harbor as CloudEvent",
    sent: json(payloads.harborCloudEvent(), { "content-type": "application/cloudevents+json" }),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Harbor as CloudEvent around its own format",
    sent: json(payloads.harborCloudEvent("harbor.artifact.pushed", payloads.harbor())),
    sender: "harbor",
    pushes: [`harbor.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Quay",
    sent: json(payloads.quay),
    sender: "quay",
    pushes: ["quay.io/team/app:1.4", "quay.io/team/app:latest"],
  },
  {
    is: "Quay of old, whose tags are the keys of an object",
    sent: json({ ...payloads.quay, updated_tags: { "1.4": "f1a2", latest: "f1a2" } }),
    sender: "quay",
    pushes: ["quay.io/team/app:1.4", "quay.io/team/app:latest"],
  },
  { is: "ACR", sent: json(payloads.acr), sender: "acr", pushes: [`example.azurecr.io/team/app:1.4@${SHA}`] },
  {
    is: "ACR by Event Grid",
    sent: json([payloads.gridEvent(), payloads.gridEvent("Microsoft.ContainerRegistry.ImageDeleted")], {
      "aeg-event-type": "Notification",
    }),
    sender: "acr",
    pushes: [`example.azurecr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "ACR by Event Grid, an import that names no host",
    sent: json([payloads.gridEvent("Microsoft.ContainerRegistry.ImagePushed", { ...payloads.acr, request: {} })]),
    sender: "acr",
    pushes: [`example.azurecr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "ACR by Event Grid as CloudEvents",
    sent: json({
      specversion: "1.0",
      id: "1",
      type: "Microsoft.ContainerRegistry.ImagePushed",
      source: payloads.gridTopic,
      subject: "team/app:1.4",
      time: "2026-11-24T07:59:59Z",
      data: payloads.acr,
    }),
    sender: "acr",
    pushes: [`example.azurecr.io/team/app:1.4@${SHA}`],
  },
  {
    is: "ECR",
    sent: json(payloads.ecr()),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.4@${SHA}`],
  },
  {
    is: "ECR in China",
    sent: json(payloads.ecr({}, { region: "cn-north-1" })),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:1.4@${SHA}`],
  },
  {
    is: "ECR, replicated",
    sent: json(
      payloads.ecr(
        { "action-type": "REPLICATE", "source-region": "us-east-1" },
        { "detail-type": "ECR Replication Action" },
      ),
    ),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.4@${SHA}`],
  },
  {
    is: "ECR by digest",
    hook: { untagged: true },
    sent: json(payloads.ecr({ "image-tag": "" })),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app@${SHA}`],
  },
  {
    is: "ECR reshaped into CloudEvents",
    sent: json(payloads.ecrCloudEvent()),
    sender: "ecr",
    pushes: [`123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Google by Pub/Sub",
    sent: json(payloads.pubSub(payloads.google())),
    sender: "google",
    pushes: [`europe-docker.pkg.dev/p/repo/app:1.4@${SHA}`],
  },
  {
    is: "Google by Pub/Sub, unwrapped",
    sent: json(payloads.google(), { "x-goog-pubsub-message-id": "19917247034" }),
    sender: "google",
    pushes: [`europe-docker.pkg.dev/p/repo/app:1.4@${SHA}`],
  },
  {
    is: "JFrog",
    sent: json(payloads.jfrog()),
    sender: "jfrog",
    pushes: [`example.jfrog.io/docker-local/team/app:1.4@${SHA}`],
  },
  {
    is: "JFrog, the image in its path only",
    sent: json(payloads.jfrog({ image_name: undefined, tag: undefined, path: "/team/app/1.4/manifest.json" })),
    sender: "jfrog",
    pushes: [`example.jfrog.io/docker-local/team/app:1.4@${SHA}`],
  },
  {
    is: "JFrog, a deployed artifact that is a manifest",
    sent: json(
      payloads.jfrog(
        { image_name: undefined, tag: undefined, path: "team/app/1.4/manifest.json", name: "manifest.json" },
        { domain: "artifact", event_type: "deployed" },
      ),
    ),
    sender: "jfrog",
    pushes: [`example.jfrog.io/docker-local/team/app:1.4@${SHA}`],
  },
  {
    is: "JFrog under a host for each repository",
    hook: { registryHost: "docker-local.example.com", stripPrefix: "docker-local/" },
    sent: json(payloads.jfrog()),
    sender: "jfrog",
    pushes: [`docker-local.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Gitea",
    sent: json(payloads.gitea(), payloads.giteaHeaders),
    sender: "gitea",
    pushes: ["git.example.com/team/app:1.4"],
  },
  {
    is: "Forgejo",
    sent: json(payloads.gitea(), { "x-forgejo-event": "package", "x-forgejo-delivery": "1" }),
    sender: "gitea",
    pushes: ["git.example.com/team/app:1.4"],
  },
  {
    is: "Gitea with a digest as version",
    hook: { untagged: true },
    sent: json(payloads.gitea({ version: SHA }), payloads.giteaHeaders),
    sender: "gitea",
    pushes: [`git.example.com/team/app@${SHA}`],
  },
  {
    is: "zot, binary mode",
    hook: { registryHost: "zot.example.com" },
    sent: { body: payloads.zotData(), headers: payloads.zotHeaders() },
    sender: "zot",
    pushes: [`zot.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "zot, structured mode, without specversion",
    hook: { registryHost: "zot.example.com" },
    sent: json(
      { type: "zotregistry.image.updated", id: "1", data: payloads.zotData() },
      { "content-type": "application/cloudevents+json" },
    ),
    sender: "zot",
    pushes: [`zot.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "zot with a digest as reference",
    hook: { registryHost: "zot.example.com", untagged: true },
    sent: { body: payloads.zotData({ reference: SHA }), headers: payloads.zotHeaders() },
    sender: "zot",
    pushes: [`zot.example.com/team/app@${SHA}`],
  },
  {
    is: "Alibaba Cloud",
    sent: json(payloads.aliyun),
    sender: "aliyun",
    pushes: [`registry.cn-hangzhou.aliyuncs.com/team/app:1.4@${SHA}`],
  },
  {
    is: "Nexus, a component",
    hook: { registryHost: "nexus.example.com:8082" },
    sent: json(payloads.nexus(), payloads.nexusHeaders),
    sender: "nexus",
    pushes: ["nexus.example.com:8082/team/app:1.4"],
  },
  {
    is: "Nexus, an asset",
    hook: { registryHost: "nexus.example.com", addPrefix: "docker-hosted/" },
    sent: json(payloads.nexusAsset("/v2/team/app/manifests/1.4"), { "x-nexus-webhook-id": "rm:repository:asset" }),
    sender: "nexus",
    pushes: ["nexus.example.com/docker-hosted/team/app:1.4"],
  },
  {
    is: "JSON of unknown make, under usual names",
    sent: json({
      registry: "https://registry.example.com",
      repository: "team/app",
      tag: "1.4",
      digest: SHA,
      extra: { a: 1 },
    }),
    sender: "generic",
    pushes: [`registry.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "JSON of unknown make with whole references",
    sent: json([{ image: "registry.example.com/team/app:1.4" }, { image: `registry.example.com/team/app:1.5@${SHA}` }]),
    sender: "generic",
    pushes: ["registry.example.com/team/app:1.4", `registry.example.com/team/app:1.5@${SHA}`],
  },
  {
    is: "JSON by pointers",
    hook: {
      sender: "generic",
      fields: {
        events: "/build/outputs",
        repository: "/where/0",
        tag: "/labels~1tags",
        digest: "/sum",
        registryHost: "/server",
        action: "/what",
        pushActions: ["done"],
      },
    },
    sent: json({
      build: {
        outputs: [
          {
            what: "done",
            server: "registry.example.com",
            where: ["team/app"],
            "labels/tags": ["1.4", "latest"],
            sum: SHA,
            tag: "no",
          },
          { what: "begun", server: "registry.example.com", where: ["team/app"], "labels/tags": ["1.5"] },
        ],
      },
    }),
    sender: "generic",
    pushes: [`registry.example.com/team/app:1.4@${SHA}`, `registry.example.com/team/app:latest@${SHA}`],
  },
  {
    is: "a CloudEvent of unknown type",
    sent: json({
      specversion: "1.0",
      id: "7",
      type: "container.image.push",
      source: "https://registry.example.com",
      subject: "team/app:1.4",
      data: { repository: "team/app", tag: "1.4" },
    }),
    sender: "cloudevents",
    pushes: ["registry.example.com/team/app:1.4"],
  },
  {
    is: "a CloudEvent with nothing but a subject",
    sent: json({
      specversion: "1.0",
      id: "7",
      type: "org.example.pushed",
      source: "/ci",
      subject: `registry.example.com/team/app:1.4@${SHA}`,
    }),
    sender: "cloudevents",
    pushes: [`registry.example.com/team/app:1.4@${SHA}`],
  },
  {
    is: "CloudEvents in a batch, one with its data in base64",
    sent: json(
      [
        { specversion: "1.0", id: "1", type: "pushed", source: "s", data: { image: "registry.example.com/a:1" } },
        {
          specversion: "1.0",
          id: "2",
          type: "pushed",
          source: "s",
          data_base64: Buffer.from('{"image":"registry.example.com/b:2"}').toString("base64"),
        },
      ],
      { "content-type": "application/cloudevents-batch+json" },
    ),
    sender: "cloudevents",
    pushes: ["registry.example.com/a:1", "registry.example.com/b:2"],
  },
  {
    is: "a CloudEvent in binary mode with a percent-encoded subject",
    sent: {
      body: "{}",
      headers: {
        "ce-type": "pushed",
        "ce-id": "1",
        "ce-source": "s",
        "ce-subject": "registry.example.com/team%2Fapp:1.4",
      },
    },
    sender: "cloudevents",
    pushes: ["registry.example.com/team/app:1.4"],
  },
];

describe("what a delivery is read into", () => {
  it.each(cases)("$is", async ({ sent, hook, sender, pushes }) => {
    const outcome = await send(hook ?? {}, sent);
    expect(outcome.pushes?.map(nameOf)).toEqual(pushes);
    expect(outcome.pushes?.every((push) => push.sender === sender)).toBe(true);
    expect(outcome.status).toBe(202);
    expect(outcome.answer).toMatchObject({ outcome: "started", sender, counts: { started: pushes.length } });
  });

  it.each(cases)("$is: the same with fields nobody knows", async ({ sent, hook, pushes }) => {
    if (typeof sent.body === "string") {
      return;
    }
    const body = withUnknownFields(sent.body);
    expect((await send(hook ?? {}, { ...sent, body })).pushes?.map(nameOf)).toEqual(pushes);
  });

  it.each(cases)("$is: the same when the hook names the sender", async ({ sent, hook, sender, pushes }) => {
    const outcome = await send({ ...hook, sender }, sent);
    expect(outcome.pushes?.map(nameOf)).toEqual(pushes);
  });
});

describe("time, id and media type of a push", () => {
  it.each<[string, Sent, object]>([
    [
      "distribution",
      distribution(registryEvent({ tag: "1.4" })),
      { deliveryId: "320678d8-ca14-430f-8bb6-4ca139cd83f7", pushedAtMs: PUSHED_AT_MS + 602, mediaType: IMAGE },
    ],
    ["Docker Hub", json(payloads.dockerHub), { pushedAtMs: PUSHED_AT_MS }],
    [
      "GHCR",
      json(payloads.ghcr("package"), payloads.ghcrHeaders),
      { deliveryId: payloads.ghcrHeaders["x-github-delivery"], pushedAtMs: PUSHED_AT_MS },
    ],
    ["Harbor", json(payloads.harbor()), { pushedAtMs: PUSHED_AT_MS }],
    [
      "Harbor's CloudEvent",
      json(payloads.harborCloudEvent()),
      { deliveryId: "4b2f89a6-548d-4c12-9993-a1f5790b97d2", pushedAtMs: PUSHED_AT_MS },
    ],
    ["ACR", json(payloads.acr), { deliveryId: payloads.acr.id, pushedAtMs: PUSHED_AT_MS + 343, mediaType: IMAGE }],
    ["Event Grid", json([payloads.gridEvent()]), { deliveryId: payloads.gridEvent().id }],
    [
      "ECR",
      json(payloads.ecr()),
      { deliveryId: "13cde686-328b-6117-af20-0e5566167482", pushedAtMs: PUSHED_AT_MS, mediaType: IMAGE },
    ],
    ["Google", json(payloads.pubSub(payloads.google())), { deliveryId: "19917247034", pushedAtMs: PUSHED_AT_MS + 914 }],
    [
      "Gitea",
      json(payloads.gitea(), payloads.giteaHeaders),
      { deliveryId: payloads.giteaHeaders["x-gitea-delivery"], pushedAtMs: PUSHED_AT_MS },
    ],
    [
      "generic",
      json({ image: "registry.example.com/a:1", id: 17, pushed_at: PUSHED_AT_MS }, { "webhook-id": "msg_1" }),
      { deliveryId: "17", pushedAtMs: PUSHED_AT_MS },
    ],
    [
      "CloudEvents",
      json({
        specversion: "1.0",
        id: "7",
        type: "pushed",
        source: "s",
        time: "2026-11-24T08:59:59+01:00",
        subject: "r.example.com/a:1",
      }),
      { deliveryId: "7", pushedAtMs: PUSHED_AT_MS },
    ],
  ])("%s", async (_sender, sent, expected) => {
    expect((await send({}, sent)).pushes?.[0]).toMatchObject(expected);
  });

  it.each<[string, Sent, Partial<Hook>, string]>([
    [
      "zot",
      { body: payloads.zotData(), headers: payloads.zotHeaders() },
      { registryHost: "z.example.com" },
      "9d2b3c1e",
    ],
    [
      "Nexus",
      json(payloads.nexus(), payloads.nexusHeaders),
      { registryHost: "n.example.com" },
      payloads.nexusHeaders["x-nexus-webhook-delivery"],
    ],
  ])("%s", async (_sender, sent, hook, deliveryId) => {
    expect((await send(hook, sent)).pushes?.[0]).toMatchObject({
      deliveryId,
      pushedAtMs: PUSHED_AT_MS + (hook.registryHost === "n.example.com" ? 515 : 0),
    });
  });

  it("a time without a zone says nothing", async () => {
    expect((await send({}, json(payloads.aliyun))).pushes?.[0]).not.toHaveProperty("pushedAtMs");
  });
});

function nameOf(push: { registryHost: string; repository: string; tag?: string; digest?: string }): string {
  const tag = push.tag === undefined ? "" : `:${push.tag}`;
  return `${push.registryHost}/${push.repository}${tag}${push.digest === undefined ? "" : `@${push.digest}`}`;
}

/** In every object, whatever its depth: senders add fields as they like. */
function withUnknownFields(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withUnknownFields);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    // Quay's map of tags has no fields.
    name === "updated_tags" ? inner : withUnknownFields(inner),
  ]);
  return { ...Object.fromEntries(entries), zzNew: { deep: [OTHER_SHA, { tag2: "x" }] }, zzNull: null, zzFlag: true };
}
