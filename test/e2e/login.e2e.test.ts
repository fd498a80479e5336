/** Registries that ask who is there: Basic, tokens, and what is said when the answer is not good enough. */
import { expect, it } from "vitest";
import { multiPlatformImage, pushSample, singleImage } from "../support/sample-image.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";
import { startTokenServer } from "../support/token-server.ts";
import { startRegistry } from "../registry-server/server.ts";
import { Home, copyOf } from "./command.ts";
import { countsOf, requestsOf } from "./registry-log.ts";
import { Pair, describeWithRegistry } from "./pair.ts";

const LOGIN = { user: "mover", password: "s3cret of the test" };

describeWithRegistry("registries that ask who is there", () => {
  it("copies between registries with htpasswd", async () => {
    await using pair = await Pair.start({ source: { htpasswd: LOGIN }, target: { htpasswd: LOGIN }, login: LOGIN });
    const sample = multiPlatformImage({ seed: "htpasswd" });
    await pushSample({ host: pair.source.host, ...LOGIN }, "app/basic", sample);
    await pair.copy("app/basic:v1", "mirror/basic:v1");
    await pair.expectWhole("app/basic", "mirror/basic", ["v1"]);
  });

  it("copies between registries with a token server, asking it once per scope", async () => {
    await using tokens = await startTokenServer(LOGIN);
    await using pair = await Pair.start({ source: { token: tokens }, target: { token: tokens }, login: LOGIN });
    const sample = multiPlatformImage({ seed: "tokens", platforms: ["linux/amd64", "linux/arm64/v8", "linux/s390x"] });
    await pushSample({ host: pair.source.host, ...LOGIN }, "app/token", sample);
    const before = tokens.requests.length;
    await pair.copy("app/token:v1", "mirror/token:v1");
    await pair.expectWhole("app/token", "mirror/token", ["v1"]);

    const asked = tokens.requests.slice(before).map(({ scopes }) => scopes.toSorted().join(" "));
    expect(new Set(asked).size, asked.join(", ")).toBe(asked.length);
  });

  it("fails with a wrong password, says at which registry, and never shows the password", async () => {
    await using pair = await Pair.start({ target: { htpasswd: LOGIN }, login: { ...LOGIN, password: "not the one" } });
    await pushSample(pair.source.host, "app/wrong", singleImage({ seed: "wrong" }));
    const [source, target] = [`${pair.source.host}/app/wrong:v1`, `${pair.target.host}/mirror/wrong:v1`];
    const ended = await pair.home.run("copy", "--json", source, target);
    expect(ended.status).toBe(1);
    expect(copyOf(ended)).toMatchObject({
      state: "failed",
      error: { side: "target", host: pair.target.host, code: "unauthorized" },
    });
    const plain = await pair.home.run("copy", "--verbose", source, target);
    expect(plain.status).toBe(1);
    expect(plain.stderr).toContain(pair.target.host);
    for (const { stdout, stderr } of [ended, plain]) {
      expect(stdout + stderr).not.toContain("not the one");
      expect(stdout + stderr).not.toContain(Buffer.from("mover:not the one").toString("base64"));
    }
  });

  it("says that the target refuses pushes before any blob is read", async () => {
    await using target = await startRegistry({
      auth: {
        type: "bearer",
        users: [{ name: LOGIN.user, password: LOGIN.password, may: [{ repository: /./, actions: ["pull"] }] }],
      },
    });
    await using source = await startDockerRegistry();
    await using home = await Home.create({ [target.host]: LOGIN });
    await pushSample(source.host, "app/denied", singleImage({ seed: "denied" }));
    const ended = await home.run("copy", "--json", `${source.host}/app/denied:v1`, `${target.host}/mirror/denied:v1`);
    expect(ended.status).toBe(1);
    expect(copyOf(ended)).toMatchObject({ state: "failed", error: { side: "target", host: target.host } });
    expect(copyOf(ended).error?.code).toMatch(/^(denied|unauthorized)$/);
    expect(copyOf(ended).error?.message).toMatch(/upload|push/);
    expect(countsOf(requestsOf(source))["GET blob"]).toBeUndefined();
  });
});
