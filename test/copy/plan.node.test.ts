import { describe, expect, test } from "vitest";
import { CopyPlan, MAX_BLOBS, MAX_DEPTH, MAX_MANIFESTS } from "../../src/copy/plan.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";

function some(...digests: string[]) {
  return digests.map((digest) => ({ digest, sizeBytes: 1, mediaType: "" }));
}

function planOf(digest = "root"): CopyPlan {
  const plan = new CopyPlan("src.example");
  plan.addRoot("tag", { digest, sizeBytes: 1 });
  return plan;
}

/** What is ready, a root by its key and its digest. */
function ready(plan: CopyPlan): string[] {
  return plan.takeReady().map(({ digest, root }) => (root === null ? digest : `${root}=${digest}`));
}

function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    const detail = errorDetailOf(error);
    expect(detail).toMatchObject({ code: "manifest_invalid", side: "source" });
    return detail.message;
  }
  throw new Error("it was accepted");
}

/** Publishes whatever is ready until nothing is, and answers the order. */
function publishAll(plan: CopyPlan): string[] {
  const order: string[] = [];
  for (let pushes = plan.takeReady(); pushes.length > 0; pushes = plan.takeReady()) {
    for (const { digest, root } of pushes) {
      order.push(root === null ? digest : `${root}=${digest}`);
      plan.published(digest);
      if (root !== null) {
        plan.endRoot(root);
      }
    }
  }
  return order;
}

describe("an image", () => {
  test("is ready once its last blob is there, and only once", () => {
    const plan = planOf();
    plan.add("root", { children: [], blobs: some("a", "b") });
    plan.blobArrived("a");
    expect(ready(plan)).toEqual([]);
    plan.blobArrived("b");
    expect(ready(plan)).toEqual(["tag=root"]);
    expect(ready(plan)).toEqual([]);
    expect(plan.roots).toEqual(["tag"]);
    plan.published("root");
    plan.endRoot("tag");
    expect(plan.roots).toEqual([]);
    expect(plan.size).toBe(0);
  });

  test("without blobs is ready at once", () => {
    const plan = planOf();
    plan.add("root", { children: [], blobs: [] });
    expect(ready(plan)).toEqual(["tag=root"]);
  });

  test("is not made ready by a blob that arrives twice, or that it does not name", () => {
    const plan = planOf();
    plan.add("root", { children: [], blobs: some("a", "b") });
    for (const digest of ["a", "a", "z"]) {
      plan.blobArrived(digest);
    }
    expect(ready(plan)).toEqual([]);
    expect(plan.missingBlobs).toBe(1);
  });

  test("that is read again adds nothing", () => {
    const plan = planOf();
    plan.add("root", { children: [], blobs: some("a") });
    expect(plan.add("root", { children: [], blobs: some("a", "b") })).toEqual({ children: [], blobs: [] });
    plan.blobArrived("a");
    expect(ready(plan)).toEqual(["tag=root"]);
  });
});

describe("an index", () => {
  test("comes after its children, nested ones before those around them", () => {
    const plan = planOf();
    plan.add("root", { children: some("image1", "inner"), blobs: [] });
    plan.add("inner", { children: some("image2"), blobs: [] });
    plan.add("image1", { children: [], blobs: some("a") });
    plan.add("image2", { children: [], blobs: some("b") });
    plan.blobArrived("b");
    expect(publishAll(plan)).toEqual(["image2", "inner"]);
    plan.blobArrived("a");
    expect(publishAll(plan)).toEqual(["image1", "tag=root"]);
    expect(plan.roots).toEqual([]);
  });

  test("waits for children that have not been read", () => {
    const plan = planOf();
    plan.add("root", { children: some("one", "two"), blobs: [] });
    plan.add("one", { children: [], blobs: [] });
    expect(publishAll(plan)).toEqual(["one"]);
    plan.add("two", { children: [], blobs: [] });
    expect(publishAll(plan)).toEqual(["two", "tag=root"]);
  });

  test("does not wait for a child that the target has", () => {
    const plan = planOf();
    plan.add("root", { children: some("one", "two"), blobs: [] });
    plan.published("one");
    plan.published("two");
    expect(publishAll(plan)).toEqual(["tag=root"]);
  });

  test("shares blobs and children: each is asked for once, and serves all who name it", () => {
    const plan = planOf();
    plan.add("root", { children: some("left", "right"), blobs: [] });
    expect(plan.add("left", { children: some("both"), blobs: some("a") }).blobs).toHaveLength(1);
    expect(plan.add("right", { children: some("both"), blobs: some("a", "b") })).toEqual({
      children: [],
      blobs: some("b"),
    });
    plan.add("both", { children: [], blobs: some("a") });
    plan.blobArrived("a");
    expect(publishAll(plan)).toEqual(["both", "left"]);
    plan.blobArrived("b");
    expect(publishAll(plan)).toEqual(["right", "tag=root"]);
  });

  test("counts an entry that is no manifest as there once its blob is there, without pushing it", () => {
    const plan = planOf();
    plan.add("root", { children: some("thing"), blobs: [] });
    plan.add("thing", { children: [], blobs: some("thing") }, false);
    expect(publishAll(plan)).toEqual([]);
    plan.blobArrived("thing");
    expect(publishAll(plan)).toEqual(["tag=root"]);
  });
});

describe("several roots", () => {
  function twoTags(): CopyPlan {
    const plan = new CopyPlan("src.example");
    for (const tag of ["v1", "v2"]) {
      expect(plan.addRoot(tag, { digest: `m-${tag}`, sizeBytes: 1 })).toBe(true);
    }
    return plan;
  }

  test("ask for what they share once, and end each for itself", () => {
    const plan = twoTags();
    expect(plan.add("m-v1", { children: [], blobs: some("base", "a") }).blobs).toHaveLength(2);
    expect(plan.add("m-v2", { children: [], blobs: some("base", "b") }).blobs).toEqual(some("b"));
    plan.blobArrived("base");
    plan.blobArrived("b");
    expect(publishAll(plan)).toEqual(["v2=m-v2"]);
    expect(plan.roots).toEqual(["v1"]);
    plan.blobArrived("a");
    expect(publishAll(plan)).toEqual(["v1=m-v1"]);
    expect(plan.size).toBe(0);
  });

  test("of one manifest push it under each name", () => {
    const plan = planOf("m");
    expect(plan.addRoot("latest", { digest: "m", sizeBytes: 1 })).toBe(false);
    plan.add("m", { children: [], blobs: [] });
    expect(publishAll(plan)).toEqual(["tag=m", "latest=m"]);
  });

  test("that come after their manifest was pushed need only their name", () => {
    const plan = planOf("m");
    plan.add("m", { children: [], blobs: [] });
    expect(ready(plan)).toEqual(["tag=m"]);
    plan.addRoot("soon", { digest: "m", sizeBytes: 1 });
    plan.published("m");
    plan.addRoot("late", { digest: "m", sizeBytes: 1 });
    expect(ready(plan)).toEqual(["soon=m", "late=m"]);
  });

  test("may be children of each other: one push serves both", () => {
    const plan = planOf("index");
    plan.add("index", { children: some("image"), blobs: [] });
    expect(plan.addRoot("amd64", { digest: "image", sizeBytes: 1 })).toBe(false);
    plan.add("image", { children: [], blobs: [] });
    expect(publishAll(plan)).toEqual(["amd64=image", "tag=index"]);
  });

  test("a child whose own name was refused is pushed by its digest for its index", () => {
    const plan = planOf("index");
    plan.add("index", { children: some("image"), blobs: [] });
    plan.addRoot("amd64", { digest: "image", sizeBytes: 1 });
    plan.add("image", { children: [], blobs: [] });
    expect(ready(plan)).toEqual(["amd64=image"]);
    plan.endRoot("amd64");
    expect(publishAll(plan)).toEqual(["image", "tag=index"]);
  });

  test("a blob or manifest that fails names the roots that need it, and no others", () => {
    const plan = twoTags();
    plan.addRoot("v3", { digest: "m-v3", sizeBytes: 1 });
    plan.add("m-v1", { children: some("child"), blobs: [] });
    plan.add("m-v2", { children: some("child"), blobs: some("b") });
    plan.add("m-v3", { children: [], blobs: some("b") });
    plan.add("child", { children: [], blobs: some("a") });
    expect(plan.rootsOfBlob("a")).toEqual(["v1", "v2"]);
    expect(plan.rootsOfBlob("b")).toEqual(["v2", "v3"]);
    expect(plan.rootsOfManifest("child")).toEqual(["v1", "v2"]);
    expect(plan.rootsOfBlob("unknown")).toEqual([]);
  });

  test("a root that is given up takes along what only it needed, and what is ready of that is not pushed", () => {
    const plan = twoTags();
    plan.add("m-v1", { children: some("only", "both"), blobs: some("a") });
    plan.add("m-v2", { children: some("both"), blobs: some("b") });
    plan.add("only", { children: [], blobs: [] });
    plan.add("both", { children: [], blobs: [] });
    plan.endRoot("v1");
    expect(plan.missingBlobs).toBe(1);
    expect(plan.has("only")).toBe(false);
    expect(publishAll(plan)).toEqual(["both"]);
    plan.blobArrived("a");
    plan.blobArrived("b");
    expect(publishAll(plan)).toEqual(["v2=m-v2"]);
    expect(plan.size).toBe(0);
  });

  test("tell that something was missing also where another root has brought it before", () => {
    const plan = planOf("one");
    plan.addRoot("other", { digest: "two", sizeBytes: 1 });
    plan.add("one", { children: some("shared"), blobs: [] });
    plan.add("shared", { children: [], blobs: [] });
    expect(ready(plan)).toEqual(["shared"]);
    plan.published("shared");
    plan.add("two", { children: some("shared"), blobs: [] });
    plan.published("two", false);
    expect(plan.endRoot("other")).toBe(true);
  });

  test("tell whether anything below them was missing", () => {
    const plan = twoTags();
    plan.add("m-v1", { children: some("child"), blobs: some("a") });
    plan.add("child", { children: [], blobs: some("b") });
    plan.add("m-v2", { children: [], blobs: some("a") });
    plan.blobArrived("a", false);
    plan.blobArrived("b", true);
    plan.published("child", false);
    expect(plan.endRoot("v2")).toBe(false);
    expect(plan.endRoot("v1")).toBe(true);
  });

  test("are bounded each for itself", () => {
    const plan = twoTags();
    const many = (letter: string) => Array.from({ length: MAX_BLOBS }, (_, index) => some(`${letter}${index}`)).flat();
    plan.add("m-v1", { children: [], blobs: many("a") });
    expect(plan.add("m-v2", { children: [], blobs: many("b") }).blobs).toHaveLength(MAX_BLOBS);
  });
});

describe("what is attached to an image", () => {
  /** An image whose name is held, with a signature that was found after all that the image needs had arrived. */
  function signed(): CopyPlan {
    const plan = new CopyPlan("src.example");
    plan.addRoot("tag", { digest: "image", sizeBytes: 1 }, true);
    plan.add("image", { children: [], blobs: [] });
    expect(ready(plan)).toEqual([]);
    expect(plan.attach("tag", "image", { digest: "signature", sizeBytes: 1, mediaType: "" })).toBe(true);
    plan.letGo("tag");
    return plan;
  }

  test("comes after it and before its name: the image is pushed by its digest first", () => {
    const plan = signed();
    plan.add("signature", { children: [], blobs: some("payload") });
    expect(publishAll(plan)).toEqual(["image"]);
    plan.blobArrived("payload");
    expect(publishAll(plan)).toEqual(["signature", "tag=image"]);
    expect([plan.roots, plan.size]).toEqual([[], 0]);
  });

  test("is asked for once, and not waited for where the target has it", () => {
    const plan = signed();
    expect(plan.attach("tag", "image", { digest: "signature", sizeBytes: 1, mediaType: "" })).toBe(false);
    plan.published("signature", false);
    expect(publishAll(plan)).toEqual(["image", "tag=image"]);
  });

  test("to itself, or with another size, is not", () => {
    const plan = signed();
    expect(plan.attach("tag", "signature", { digest: "image", sizeBytes: 1, mediaType: "" })).toBe(false);
    plan.addRoot("other", { digest: "second", sizeBytes: 1 });
    const attach = () => plan.attach("other", "second", { digest: "signature", sizeBytes: 2, mediaType: "" });
    expect(refusalOf(attach)).toContain("signature with another size");
  });
});

describe("bounds", () => {
  test("one blob with two sizes in two manifests", () => {
    const plan = planOf();
    plan.add("root", { children: some("one", "two"), blobs: [] });
    plan.add("one", { children: [], blobs: some("a") });
    const other = [{ digest: "a", sizeBytes: 2, mediaType: "" }];
    expect(refusalOf(() => plan.add("two", { children: [], blobs: other }))).toContain("another size");
  });

  test("a loop asks for nothing twice and is never ready", () => {
    const plan = planOf("x");
    plan.add("x", { children: some("y"), blobs: [] });
    expect(plan.add("y", { children: some("x"), blobs: [] }).children).toEqual([]);
    expect(ready(plan)).toEqual([]);
    expect(plan.roots).toEqual(["tag"]);
  });

  test("indexes within indexes", () => {
    const plan = planOf("0");
    for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
      plan.add(String(depth), { children: some(String(depth + 1)), blobs: [] });
    }
    const tooDeep = { children: some("end"), blobs: [] };
    expect(refusalOf(() => plan.add(String(MAX_DEPTH), tooDeep))).toContain(`more than ${MAX_DEPTH} indexes`);
  });

  test("manifests", () => {
    const children = Array.from({ length: MAX_MANIFESTS }, (_, index) => some(`m${index}`)).flat();
    expect(refusalOf(() => planOf().add("root", { children, blobs: [] }))).toContain(`${MAX_MANIFESTS} manifests`);
  });

  test("blobs", () => {
    const blobs = Array.from({ length: MAX_BLOBS + 1 }, (_, index) => some(`b${index}`)).flat();
    expect(refusalOf(() => planOf().add("root", { children: [], blobs }))).toContain(`${MAX_BLOBS} blobs`);
  });
});

test("an index that names what it refers to waits for it once", () => {
  const plan = new CopyPlan("src.example");
  plan.addRoot("tag", { digest: "root", sizeBytes: 1 }, true);
  plan.add("root", { children: [], blobs: [] });
  plan.attach("tag", "root", { digest: "bundle", sizeBytes: 1, mediaType: "" });
  expect(plan.add("bundle", { children: some("root", "more"), blobs: [] }).children).toEqual(some("more"));
  plan.add("more", { children: [], blobs: [] });
  plan.letGo("tag");
  expect(publishAll(plan)).toEqual(["root", "more", "bundle", "tag=root"]);
});

test("an image whose name waits for a bundle that holds the image is pushed by its digest for that", () => {
  const plan = new CopyPlan("src.example");
  plan.addRoot("tag", { digest: "image", sizeBytes: 1 }, true);
  plan.add("image", { children: some("part"), blobs: [] });
  plan.add("part", { children: [], blobs: [] });
  expect(ready(plan)).toEqual(["part"]);
  plan.published("part");
  plan.attach("tag", "part", { digest: "bundle", sizeBytes: 1, mediaType: "" });
  plan.letGo("tag");
  plan.add("bundle", { children: some("image"), blobs: [] });
  expect(publishAll(plan)).toEqual(["image", "bundle", "tag=image"]);
});

test("two names, each of what is attached to the other, do not wait for one another", () => {
  const plan = new CopyPlan("src.example");
  for (const name of ["one", "two"]) {
    plan.addRoot(name, { digest: `${name}-image`, sizeBytes: 1 }, true);
    plan.add(`${name}-image`, { children: some("part"), blobs: [] });
  }
  plan.add("part", { children: [], blobs: [] });
  expect(ready(plan)).toEqual(["part"]);
  plan.published("part");
  plan.attach("one", "part", { digest: "two-image", sizeBytes: 1, mediaType: "" });
  plan.attach("two", "part", { digest: "one-image", sizeBytes: 1, mediaType: "" });
  plan.letGo("one");
  plan.letGo("two");
  expect(publishAll(plan).toSorted()).toEqual(["one-image", "one=one-image", "two-image", "two=two-image"]);
});

test("what is a name and attached to another one is pushed for that when its own name has failed", () => {
  const plan = new CopyPlan("src.example");
  plan.addRoot("tag", { digest: "image", sizeBytes: 1 }, true);
  plan.addRoot("signature", { digest: "sig", sizeBytes: 1 });
  plan.add("image", { children: [], blobs: [] });
  plan.add("sig", { children: [], blobs: [] });
  plan.attach("tag", "image", { digest: "sig", sizeBytes: 1, mediaType: "" });
  plan.letGo("tag");
  expect(ready(plan)).toEqual(["signature=sig"]);
  plan.endRoot("signature");
  expect(publishAll(plan)).toEqual(["sig", "tag=image"]);
});

test("what a look has told of a manifest, and that its index is narrowed, goes with the last name that needs it", () => {
  const plan = planOf();
  plan.addRoot("other", { digest: "root", sizeBytes: 1 });
  plan.add("root", { children: some("child"), blobs: [] });
  plan.found("child");
  plan.narrow("root", "app:v1");
  const known = () => [plan.isThere("child"), plan.narrowed("root")];
  plan.endRoot("tag");
  expect(known()).toEqual([true, "app:v1"]);
  plan.endRoot("other");
  plan.found("child");
  plan.narrow("root", "app:v1");
  expect(known()).toEqual([false, null]);
});
