/** Deliveries in the shapes that each sender documents or is known to send, with values of these tests. */
import { OTHER_SHA, SHA } from "./support.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const EVENTS_V1 = "application/vnd.docker.distribution.events.v1+json";

interface EventFields {
  action?: string;
  mediaType?: string;
  tag?: string;
  digest?: string;
  repository?: string;
  url?: string;
}

export function registryEvent(fields: EventFields = {}): object {
  const { action = "push", mediaType = IMAGE, digest = SHA, repository = "team/app", url, tag } = fields;
  return {
    id: "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    timestamp: "2026-11-24T07:59:59.602731542Z",
    action,
    target: {
      mediaType,
      size: 708,
      digest,
      length: 708,
      repository,
      url: url ?? `http://registry.example.com:5000/v2/${repository}/manifests/${digest}`,
      ...(tag === undefined ? {} : { tag }),
    },
    request: {
      id: "6df24a34-0959-4923-81ca-14f09767db19",
      addr: "192.168.64.11:42961",
      host: "registry.example.com:5000",
      method: "PUT",
      useragent: "docker/28.0",
    },
    actor: { name: "ci" },
    source: { addr: "a7e5b3:5000", instanceID: "a53db899-3b4b-4a62-a067-8dd013beaca4" },
  };
}

export const distribution = (...events: readonly object[]) => ({
  headers: { "content-type": EVENTS_V1 },
  body: { events },
});

export const dockerHub = {
  callback_url: "https://registry.hub.docker.com/u/team/app/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
  push_data: {
    pushed_at: 1_795_507_199,
    pusher: "ci",
    tag: "1.4",
    images: [],
    media_type: "application/vnd.docker.container.image.v1+json",
  },
  repository: {
    comment_count: 0,
    date_created: 1_417_494_799,
    full_description: "",
    is_official: false,
    is_private: true,
    is_trusted: true,
    name: "app",
    namespace: "team",
    owner: "team",
    repo_name: "team/app",
    repo_url: "https://registry.hub.docker.com/u/team/app/",
    star_count: 0,
    status: "Active",
  },
};

export const ghcrHeaders = { "x-github-event": "package", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958" };

export function ghcr(
  key: "package" | "registry_package",
  version: object = {},
  item: object = {},
  action = "published",
): object {
  return {
    action,
    [key]: {
      id: 1,
      name: "app",
      namespace: "Team",
      ecosystem: "CONTAINER",
      package_type: "CONTAINER",
      owner: { login: "Team" },
      html_url: "https://github.com/orgs/Team/packages/container/package/app",
      package_version: {
        id: 2,
        version: SHA,
        name: SHA,
        container_metadata: { tag: { name: "1.4", digest: SHA }, labels: {}, manifest: {} },
        package_url: "ghcr.io/Team/app:1.4",
        updated_at: "2026-11-24T07:59:59Z",
        ...version,
      },
      registry: { name: "GitHub CONTAINER registry", type: "CONTAINER", url: "https://ghcr.io/Team" },
      ...item,
    },
    sender: { login: "ci" },
  };
}

export function harborData(...resources: readonly object[]): object {
  return {
    resources:
      resources.length > 0 ? resources : [{ digest: SHA, tag: "1.4", resource_url: "harbor.example.com/team/app:1.4" }],
    repository: {
      date_created: 1_795_000_000,
      name: "app",
      namespace: "team",
      repo_full_name: "team/app",
      repo_type: "private",
    },
  };
}

export const harbor = (type = "PUSH_ARTIFACT", data: object = harborData()) => ({
  type,
  occur_at: 1_795_507_199,
  operator: "ci",
  event_data: data,
});

export const harborCloudEvent = (type = "harbor.artifact.pushed", data: unknown = harborData()) => ({
  specversion: "1.0",
  requestid: "2eedfab8-61d3-4f3c-8ec3-8f82d1ec4c84",
  id: "4b2f89a6-548d-4c12-9993-a1f5790b97d2",
  source: "/projects/1/webhook/policies/3",
  type,
  datacontenttype: "application/json",
  time: "2026-11-24T07:59:59Z",
  data,
  operator: "ci",
});

export const quay = {
  name: "app",
  repository: "team/app",
  namespace: "team",
  docker_url: "quay.io/team/app",
  homepage: "https://quay.io/repository/team/app",
  updated_tags: ["1.4", "latest"],
};

export const acr = {
  id: "cb8c3971-9adc-488b-xxxx-43cbb4974ff5",
  timestamp: "2026-11-24T07:59:59.343145347Z",
  action: "push",
  target: { mediaType: IMAGE, size: 524, digest: SHA, length: 524, repository: "team/app", tag: "1.4" },
  request: {
    id: "3cbb6949-7549-4fa1-xxxx-a6d5451dffc7",
    host: "example.azurecr.io",
    method: "PUT",
    useragent: "docker/28.0",
  },
};

export const gridTopic = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Example";

export const gridEvent = (eventType = "Microsoft.ContainerRegistry.ImagePushed", data: object = acr) => ({
  id: "831e1650-001e-001b-66ab-eeb76e069631",
  topic: gridTopic,
  subject: "team/app:1.4",
  eventType,
  eventTime: "2026-11-24T07:59:59Z",
  data,
  dataVersion: "1.0",
  metadataVersion: "1",
});

export function ecr(detail: object = {}, envelope: object = {}): object {
  return {
    version: "0",
    id: "13cde686-328b-6117-af20-0e5566167482",
    "detail-type": "ECR Image Action",
    source: "aws.ecr",
    account: "123456789012",
    time: "2026-11-24T07:59:59Z",
    region: "eu-west-1",
    resources: [],
    detail: {
      result: "SUCCESS",
      "repository-name": "team/app",
      "image-digest": SHA,
      "action-type": "PUSH",
      "image-tag": "1.4",
      "manifest-media-type": IMAGE,
      "artifact-media-type": "application/vnd.oci.image.config.v1+json",
      ...detail,
    },
    ...envelope,
  };
}

export const ecrCloudEvent = (data: object = {}) => ({
  specversion: "1.0",
  id: "12345678-1234-1234-1234-123456789012",
  type: "com.amazon.ecr.image.push",
  source: "urn:aws:ecr:eu-west-1:123456789012:repository/team/app",
  subject: "team/app:1.4",
  time: "2026-11-24T07:59:59Z",
  datacontenttype: "application/json",
  data: { repositoryName: "team/app", imageDigest: SHA, imageTag: "1.4", registryId: "123456789012", ...data },
});

export function pubSub(notification: unknown): object {
  return {
    message: {
      data: Buffer.from(JSON.stringify(notification)).toString("base64"),
      messageId: "19917247034",
      message_id: "19917247034",
      publishTime: "2026-11-24T07:59:59.914Z",
    },
    subscription: "projects/p/subscriptions/drayage",
  };
}

export const google = (fields: object = {}) => ({
  action: "INSERT",
  digest: `europe-docker.pkg.dev/p/repo/app@${SHA}`,
  tag: "europe-docker.pkg.dev/p/repo/app:1.4",
  ...fields,
});

export function jfrog(data: object = {}, envelope: object = {}): object {
  return {
    domain: "docker",
    event_type: "pushed",
    data: {
      repo_key: "docker-local",
      event_type: "pushed",
      path: "team/app/1.4/list.manifest.json",
      name: "list.manifest.json",
      sha256: SHA.slice("sha256:".length),
      size: 1370,
      image_name: "team/app",
      image_type: "docker",
      tag: "1.4",
      platforms: [{ architecture: "amd64", os: "linux" }],
      ...data,
    },
    subscription_key: "drayage",
    jpd_origin: "https://example.jfrog.io",
    source: "jfrog/ci",
    ...envelope,
  };
}

export const giteaHeaders = {
  "x-gitea-event": "package",
  "x-gitea-event-type": "package",
  "x-gitea-delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473",
  // For those who know GitHub only.
  "x-github-event": "package",
  "x-github-delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473",
};

export function gitea(item: object = {}, action = "created"): object {
  return {
    action,
    repository: null,
    package: {
      id: 7,
      owner: { id: 1, login: "Team", username: "Team" },
      repository: null,
      creator: { login: "ci" },
      type: "container",
      name: "app",
      version: "1.4",
      html_url: "https://git.example.com/Team/-/packages/container/app/1.4",
      created_at: "2026-11-24T07:59:59Z",
      ...item,
    },
    organization: null,
    sender: { login: "ci" },
  };
}

export const zotData = (fields: object = {}) => ({
  name: "team/app",
  reference: "1.4",
  digest: SHA,
  mediaType: IMAGE,
  manifest: "{}",
  ...fields,
});

export const zotHeaders = (type = "zotregistry.image.updated") => ({
  "content-type": "application/json",
  "ce-specversion": "1.0",
  "ce-id": "9d2b3c1e",
  "ce-source": "zotregistry.dev",
  "ce-type": type,
  "ce-time": "2026-11-24T07:59:59Z",
});

export const aliyun = {
  push_data: { digest: SHA, pushed_at: "2026-11-24 15:59:59", tag: "1.4" },
  repository: {
    date_created: "2016-08-18 16:57:18",
    name: "app",
    namespace: "team",
    region: "cn-hangzhou",
    repo_authentication_type: "NO_CERTIFIED",
    repo_full_name: "team/app",
    repo_origin_type: "NO_CERTIFIED",
    repo_type: "PUBLIC",
  },
};

export const nexusHeaders = {
  "x-nexus-webhook-id": "rm:repository:component",
  "x-nexus-webhook-delivery": "7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48",
};

export function nexus(component: object = {}, action = "CREATED"): object {
  return {
    timestamp: "2026-11-24T07:59:59.515+0000",
    nodeId: "52905B51-085CCABB-CEBBEAAD-16795588-FC927D93",
    initiator: "ci/192.0.2.1",
    repositoryName: "docker-hosted",
    action,
    component: {
      id: "08909bf0",
      componentId: "bnB",
      format: "docker",
      name: "team/app",
      group: null,
      version: "1.4",
      ...component,
    },
  };
}

export const nexusAsset = (name: string) => ({
  timestamp: "2026-11-24T07:59:59.515+0000",
  nodeId: "52905B51",
  repositoryName: "docker-hosted",
  action: "CREATED",
  asset: { id: "31c950c8", assetId: "bnBt", format: "docker", name },
});

export const OTHER = OTHER_SHA;
