/** What starts nothing, and what the sender is told: pings and other events are 2xx, only what cannot be read is 400. */
import { describe, expect, it } from "vitest";
import type { Hook } from "../../src/hooks/contract.ts";
import * as payloads from "./payloads.ts";
import { distribution, registryEvent } from "./payloads.ts";
import { json, send, SHA, type Sent } from "./support.ts";

const ghcr = (body: unknown, event = "package") => json(body, { ...payloads.ghcrHeaders, "x-github-event": event });
const gitea = (body: unknown, event = "package") => json(body, { ...payloads.giteaHeaders, "x-gitea-event": event });
const zot = (data: unknown, type?: string): Sent => ({ body: data, headers: payloads.zotHeaders(type) });
const nexus = (body: unknown) => json(body, payloads.nexusHeaders);

const NO_TAG = 'it was pushed by digest, without a tag; set "untagged" of the hook to copy such manifests too';

describe("a delivery that starts nothing says why, with 200", () => {
  it.each<[string, Sent, string]>([
    [
      "distribution: a pull",
      distribution(registryEvent({ action: "pull", tag: "1.4" })),
      'its action "pull" is no push',
    ],
    [
      "distribution: a deletion",
      distribution(registryEvent({ action: "delete", tag: "1.4" })),
      'its action "delete" is no push',
    ],
    [
      "distribution: a layer",
      distribution(registryEvent({ mediaType: "application/octet-stream" })),
      "a layer or config: it is copied with its image",
    ],
    [
      "distribution: a layer of an unknown kind",
      distribution(registryEvent({ mediaType: "application/vnd.new", url: "http://r/v2/team/app/blobs/sha256:55" })),
      "a layer or config: it is copied with its image",
    ],
    [
      "distribution: a mounted layer",
      distribution(registryEvent({ action: "mount" })),
      "a layer or config: it is copied with its image",
    ],
    ["distribution: a manifest without tag", distribution(registryEvent()), NO_TAG],
    ["distribution: a digest where the tag belongs", distribution(registryEvent({ tag: SHA })), NO_TAG],
    [
      "distribution: a name in upper case",
      distribution(registryEvent({ repository: "Team/app", tag: "1" })),
      'upper case; repositories are lower case: "team/app"',
    ],
    [
      "distribution: an impossible tag",
      distribution(registryEvent({ tag: "-1/../x" })),
      "its tag is not one that a registry can have",
    ],
    [
      "Docker Hub: no tag",
      json({ ...payloads.dockerHub, push_data: { pusher: "ci" } }),
      "it names neither a tag nor a digest",
    ],
    ["Docker Hub: no repository", json({ ...payloads.dockerHub, repository: {} }), "it names no repository"],
    ["GHCR: deleted", ghcr(payloads.ghcr("package", {}, {}, "deleted")), 'the action "deleted" pushes nothing'],
    [
      "GHCR: a package of npm",
      ghcr(payloads.ghcr("package", {}, { package_type: "npm", ecosystem: "npm" })),
      'a package of type "npm" is no container image',
    ],
    ["GHCR: a push of commits", ghcr({ ref: "refs/heads/main" }, "push"), 'the event "push" is not about packages'],
    [
      "GHCR: no tag",
      ghcr(payloads.ghcr("package", { package_url: "ghcr.io/team/app:", container_metadata: null })),
      NO_TAG,
    ],
    [
      "Harbor: deleted",
      json(payloads.harbor("DELETE_ARTIFACT")),
      'the event "DELETE_ARTIFACT" is no push of an artifact',
    ],
    ["Harbor: pulled", json(payloads.harbor("PULL_ARTIFACT")), 'the event "PULL_ARTIFACT" is no push'],
    [
      "Harbor: a chart of its old chart store",
      json(payloads.harbor("UPLOAD_CHART")),
      'the event "UPLOAD_CHART" is no push of an artifact',
    ],
    [
      "Harbor: scanned",
      json(payloads.harborCloudEvent("harbor.scan.completed")),
      'the event "harbor.scan.completed" is no push',
    ],
    [
      "Harbor: a digest as its tag",
      json(
        payloads.harbor(
          "PUSH_ARTIFACT",
          payloads.harborData({ digest: SHA, tag: SHA, resource_url: `h.example.com/team/app@${SHA}` }),
        ),
      ),
      NO_TAG,
    ],
    [
      "Harbor: no resources",
      json(payloads.harbor("PUSH_ARTIFACT", { repository: { repo_full_name: "team/app" } })),
      "it names neither a tag nor a digest",
    ],
    [
      "Quay: a build",
      json({ ...payloads.quay, updated_tags: undefined, build_id: "1", docker_tags: ["1.4"] }),
      'only "Push to Repository"',
    ],
    ["Quay: no tags", json({ ...payloads.quay, updated_tags: [] }), "it names neither a tag nor a digest"],
    ["ACR: deleted", json({ ...payloads.acr, action: "delete" }), 'its action "delete" is no push'],
    ["ACR: a chart of Helm 2", json({ ...payloads.acr, action: "chart_push" }), "charts of Helm 2"],
    ["ACR: no tag", json({ ...payloads.acr, target: { ...payloads.acr.target, tag: undefined } }), NO_TAG],
    [
      "Event Grid: deleted",
      json([payloads.gridEvent("Microsoft.ContainerRegistry.ImageDeleted")]),
      "is no push of an image",
    ],
    [
      "Event Grid: a blob store",
      json([payloads.gridEvent("Microsoft.Storage.BlobCreated")]),
      "is not about a container registry",
    ],
    [
      "ECR: deleted",
      json(payloads.ecr({ "action-type": "DELETE" })),
      'its action "delete" (ECR Image Action) is no push',
    ],
    ["ECR: failed", json(payloads.ecr({ result: "FAILURE" })), 'the push ended with "FAILURE"'],
    [
      "ECR: scanned",
      json(payloads.ecr({ "action-type": undefined }, { "detail-type": "ECR Image Scan" })),
      "(ECR Image Scan) is no push",
    ],
    ["ECR: no tag", json(payloads.ecr({ "image-tag": "" })), NO_TAG],
    ["Google: deleted", json(payloads.pubSub(payloads.google({ action: "DELETE" }))), 'its action "DELETE" is no push'],
    [
      "Google: a message of another sort",
      json(payloads.pubSub({ hello: "world" })),
      'its message has no "action", which Google\'s registries send',
    ],
    [
      "Google: a message that is no JSON",
      json({ message: { data: "%%%" }, subscription: "s" }),
      'its "message.data" is not base64 of JSON',
    ],
    [
      "Google: a message of attributes alone",
      json({ message: { attributes: { a: "b" }, messageId: "1" }, subscription: "s" }),
      'its message has no "action", which Google\'s registries send',
    ],
    ["ACR: quarantined", json({ ...payloads.acr, action: "quarantine" }), 'its action "quarantine" is no push'],
    [
      "ECR: a pull through its cache that failed",
      json(
        payloads.ecr(
          { "action-type": undefined, "sync-status": "FAILURE" },
          { "detail-type": "ECR Pull Through Cache Action" },
        ),
      ),
      'its action "" (ECR Pull Through Cache Action) is no push',
    ],
    ["Google: no tag", json(payloads.pubSub(payloads.google({ tag: undefined }))), NO_TAG],
    [
      "JFrog: deleted",
      json(payloads.jfrog({}, { event_type: "deleted" })),
      'the event "deleted" of the domain "docker" pushes no image',
    ],
    [
      "JFrog: a build",
      json(payloads.jfrog({}, { domain: "build", event_type: "uploaded" })),
      'of the domain "build" pushes no image',
    ],
    [
      "JFrog: a file that is no manifest",
      json(payloads.jfrog({ path: "org/app.jar", name: "app.jar" }, { domain: "artifact", event_type: "deployed" })),
      'the file "app.jar" is no manifest',
    ],
    ["Gitea: deleted", gitea(payloads.gitea({}, "deleted")), 'the action "deleted" pushes nothing'],
    [
      "Gitea: a chart of its Helm store",
      gitea(payloads.gitea({ type: "helm" })),
      'a package of type "helm" is no container image',
    ],
    ["Gitea: a push of commits", gitea({ ref: "refs/heads/main" }, "push"), 'the event "push" is not about packages'],
    ["Gitea: a digest as version", gitea(payloads.gitea({ version: SHA })), NO_TAG],
    [
      "zot: deleted",
      zot(payloads.zotData(), "zotregistry.image.deleted"),
      'the event type "zotregistry.image.deleted" is no push',
    ],
    ["zot: a new repository", zot({ name: "team/app" }, "zotregistry.repository.created"), "is no push of an image"],
    ["zot: no host", zot(payloads.zotData()), 'zot does not say which registry it is; set "registryHost" of the hook'],
    ["Nexus: deleted", nexus(payloads.nexus({}, "DELETED")), 'the action "DELETED" pushes nothing'],
    [
      "Nexus: a component of Maven",
      nexus(payloads.nexus({ format: "maven2" })),
      'format "maven2" is no container image',
    ],
    ["Nexus: a layer", nexus(payloads.nexusAsset("v2/-/blobs/sha256:55")), "is no manifest"],
    [
      "Nexus: an audit",
      json({ nodeId: "1", initiator: "ci" }, { "x-nexus-webhook-id": "rm:audit" }),
      '"rm:audit" pushes no image',
    ],
    [
      "Alibaba Cloud: no tag",
      json({ ...payloads.aliyun, push_data: { pushed_at: "" } }),
      "it names neither a tag nor a digest",
    ],
    [
      "CloudEvents: deleted",
      json({ specversion: "1.0", id: "1", type: "org.example.deleted", source: "s", subject: "r.example.com/a:1" }),
      'its action "org.example.deleted" is no push',
    ],
    [
      "CloudEvents: no host",
      json({ specversion: "1.0", id: "1", type: "pushed", source: "/ci", data: { repository: "team/app", tag: "1" } }),
      "cloudevents does not say which registry it is",
    ],
  ])("%s", async (_what, sent, reason) => {
    const { status, answer, ignored, pushes } = await send({}, sent);
    expect(ignored.map((item) => item.reason)).toEqual([expect.stringContaining(reason)]);
    expect(answer).toMatchObject({ outcome: "ignored", counts: { started: 0, ignored: 1 } });
    expect(status).toBe(200);
    expect(pushes).toBeNull();
  });

  it.each<[string, Partial<Hook>, string]>([
    [
      "an action that is not configured",
      { fields: { action: "/what", pushActions: ["done"] } },
      'not among the hook\'s "fields.pushActions"',
    ],
    [
      "a pointer to nothing, although another field would do",
      { fields: { tag: "/label" } },
      "it names neither a tag nor a digest",
    ],
  ])("generic: %s", async (_what, settings, reason) => {
    const sent = json({ what: "begun", registry: "r.example.com", repository: "team/app", tag: "1.4" });
    const { ignored, pushes } = await send({ sender: "generic", ...settings }, sent);
    expect(ignored[0]?.reason).toContain(reason);
    expect(pushes).toBeNull();
  });

  it("a delivery of which a part is ignored starts the rest", async () => {
    const { status, answer } = await send(
      {},
      distribution(registryEvent({ tag: "1.4" }), registryEvent({ action: "pull", tag: "1" })),
    );
    expect(status).toBe(202);
    expect(answer).toMatchObject({ counts: { started: 1, ignored: 1 }, ignored: [{ what: "team/app:1" }] });
  });
});

describe("a malformed digest", () => {
  it("beside a tag is left out: the tag is resolved at the source anyway", async () => {
    const { pushes } = await send({}, distribution(registryEvent({ tag: "1.4", digest: "sha256:abc" })));
    expect(pushes).toMatchObject([{ repository: "team/app", tag: "1.4" }]);
    expect(pushes?.[0]).not.toHaveProperty("digest");
  });

  it("alone starts nothing", async () => {
    const { ignored } = await send({ untagged: true }, distribution(registryEvent({ digest: "sha256:abc" })));
    expect(ignored[0]?.reason).toBe("its digest is malformed and it has no tag");
  });
});

describe("a registry host", () => {
  it.each([
    ["a host without dot or port", "registry", 'is no registry host with a dot or a port; set "registryHost"'],
    ["something that is no host", "a b.example.com", "white space"],
  ])("%s is not guessed at", async (_what, host, reason) => {
    const event = { ...registryEvent({ tag: "1" }), request: { host } };
    expect((await send({}, distribution(event))).ignored[0]?.reason).toContain(reason);
  });

  it.each(["index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"])(
    "%s is docker.io",
    async (host) => {
      const { pushes } = await send(
        { registryHost: host },
        distribution(registryEvent({ tag: "1", repository: "alpine" })),
      );
      expect(pushes).toMatchObject([{ registryHost: "docker.io", repository: "library/alpine" }]);
    },
  );
});

describe("pings are answered", () => {
  it.each<[string, Partial<Hook>, Sent]>([
    ["GitHub", {}, ghcr({ zen: "Keep it logically awesome.", hook_id: 1 }, "ping")],
    [
      "ACR",
      {},
      json(
        { id: "1", timestamp: "2026-11-24T08:00:00Z", action: "ping" },
        { "user-agent": "AzureContainerRegistry/1.0" },
      ),
    ],
    ["ACR without its name", {}, json({ id: "1", timestamp: "2026-11-24T08:00:00Z", action: "ping" })],
    ["Gitea's test delivery", {}, gitea({ ref: "refs/heads/main", commits: [] })],
    ["generic", { sender: "generic" }, json({ event: "ping" })],
    ["CloudEvents", {}, json({ specversion: "1.0", id: "1", type: "org.example.ping", source: "s" })],
  ])("%s", async (_what, hook, sent) => {
    const { status, answer, pushes } = await send(hook, sent);
    expect(answer).toMatchObject({ outcome: "pong" });
    expect(status).toBe(200);
    expect(pushes).toBeNull();
  });
});

describe("handshakes", () => {
  it("of Event Grid is answered with its code", async () => {
    const { status, answer } = await send(
      { sender: "acr" },
      json(
        [
          {
            id: "2d1781af",
            topic: payloads.gridTopic,
            subject: "",
            data: {
              validationCode: "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
              validationUrl: "https://rp.eventgrid.azure.net/1",
            },
            eventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
            eventTime: "2026-11-24T08:00:00Z",
            metadataVersion: "1",
            dataVersion: "2",
          },
        ],
        { "aeg-event-type": "SubscriptionValidation" },
      ),
    );
    expect(status).toBe(200);
    expect(answer).toEqual({ validationResponse: "512d38b6-c7b8-40c8-89fe-f46f9e9622b6" });
  });

  it("of CloudEvents is answered by OPTIONS", async () => {
    const { status, headers } = await send(
      {},
      {
        method: "OPTIONS",
        headers: { "webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120" },
      },
    );
    expect(status).toBe(200);
    expect(headers.get("webhook-allowed-origin")).toBe("eventgrid.azure.net");
    expect(headers.get("webhook-allowed-rate")).toBe("120");
  });
});

describe("what cannot be read is 400 with what is missing", () => {
  it.each<[string, Partial<Hook>, Sent, string]>([
    ["no body", {}, { body: "" }, "its body is empty"],
    ["no JSON", {}, { body: "<xml/>" }, "its body is not JSON"],
    ["no UTF-8", {}, { body: new Uint8Array([0x22, 0xff, 0x22]) }, "its body is not JSON in UTF-8"],
    ["nobody's JSON", {}, json({ hello: "world" }), 'no sender is recognised in it; set "sender" of the hook'],
    ["JSON null", {}, json(null), "no sender is recognised"],
    ["JSON text", {}, { body: '"push"' }, "no sender is recognised"],
    ["a deep list", {}, json([[[[]]]]), "no sender is recognised"],
    ["distribution without events", { sender: "distribution" }, json({}), 'no list "events"'],
    ["Docker Hub without push_data", { sender: "dockerhub" }, json({}), '"push_data"'],
    ["GHCR without package", { sender: "ghcr" }, ghcr({ action: "published" }), '"package"'],
    ["Harbor without type", { sender: "harbor" }, json({}), '"type"'],
    ["Quay without docker_url", { sender: "quay" }, json({}), '"docker_url"'],
    ["ACR without action", { sender: "acr" }, json({}), '"action"'],
    ["ECR without detail", { sender: "ecr" }, json({}), '"detail"'],
    ["Google without message", { sender: "google" }, json({}), 'no "action"'],
    ["JFrog without domain", { sender: "jfrog" }, json({}), '"domain"'],
    ["Gitea without package", { sender: "gitea" }, gitea({ action: "created" }), '"package"'],
    ["zot without CloudEvent", { sender: "zot" }, json({}), "no CloudEvent"],
    ["Nexus without component", { sender: "nexus" }, json({}), '"component"'],
    ["Alibaba Cloud without push_data", { sender: "aliyun" }, json({}), '"push_data"'],
    ["generic without object", { sender: "generic" }, json(7), "neither a JSON object nor a list"],
    ["CloudEvents without type", { sender: "cloudevents" }, json({ specversion: "1.0" }), '"ce-type"'],
  ])("%s", async (_what, hook, sent, problem) => {
    const { status, answer, pushes, headers } = await send(hook, sent);
    expect(answer).toMatchObject({ detail: expect.stringContaining(problem), status: 400 });
    expect(status).toBe(400);
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect(pushes).toBeNull();
  });
});
