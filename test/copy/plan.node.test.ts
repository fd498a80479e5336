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
  for (let some = plan.takeReady(); some.length > 0; some = plan.takeReady()) {
    for (const { digest, root } of some) {
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
