import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../src/registry/challenge.ts";

function read(header: string): unknown {
  return parseChallenges(header).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);
}

describe("parseChallenges", () => {
  it.each<[string, unknown]>([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          "bearer",
          { realm: "https://auth.docker.io/token", service: "registry.docker.io", scope: "repository:a/b:pull,push" },
        ],
      ],
    ],
    ['BASIC Realm="x"', [["basic", { realm: "x" }]]],
    ["Basic", [["basic", {}]]],
    [
      'Basic realm="one, two", Bearer realm="https://x/t",scope="a:b:pull"',
      [
        ["basic", { realm: "one, two" }],
        ["bearer", { realm: "https://x/t", scope: "a:b:pull" }],
      ],
    ],
    [
      'Negotiate, NTLM TlRMTVNTUAAB==, Basic realm="r"',
      [
        ["negotiate", {}],
        ["ntlm", {}],
        ["basic", { realm: "r" }],
      ],
    ],
    ["Bearer realm=https://x/t,service=reg", [["bearer", { realm: "https://x/t", service: "reg" }]]],
    [
      "Bearer realm=https://x/t,scope=repository:a:pull,push,service=reg",
      [["bearer", { realm: "https://x/t", scope: "repository:a:pull,push", service: "reg" }]],
    ],
    [String.raw`Bearer realm="a\"b\\c"`, [["bearer", { realm: 'a"b\\c' }]]],
    ['Bearer realm = "spaced" , service= "s"', [["bearer", { realm: "spaced", service: "s" }]]],
    ['Bearer realm="first",realm="second"', [["bearer", { realm: "first" }]]],
    ['Bearer realm="never closed', [["bearer", { realm: "never closed" }]]],
    ['Bearer realm="x",,, error="insufficient_scope",', [["bearer", { realm: "x", error: "insufficient_scope" }]]],
    ["", []],
    [", , ;;", []],
    ['"quoted" =', []],
  ])("reads %s", (header, expected) => {
    expect(read(header)).toEqual(expected);
  });

  it("ends on any input", () => {
    const pieces = ["Bearer ", "realm", "=", '"', "\\", ",", " ", "a", "=", "é", "\n"];
    for (let seed = 0; seed < 2000; seed++) {
      let state = seed;
      let header = "";
      for (let length = 0; length < 12; length++) {
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
        header += pieces[state % pieces.length];
      }
      expect(Array.isArray(parseChallenges(header))).toBe(true);
    }
  });
});
