/** Scopes of the token protocol: `repository:<name>:<action>,<action>`. Pure. */

/** The scopes in one form per set: one per resource, its actions joined, all sorted. */
export function mergeScopes(...lists: readonly (readonly string[])[]): string[] {
  const actionsOf = new Map<string, Set<string>>();
  for (const scope of lists.flat()) {
    const colon = scope.lastIndexOf(":");
    if (colon < 1) {
      continue;
    }
    const resource = scope.slice(0, colon);
    const actions = actionsOf.get(resource) ?? new Set<string>();
    for (const action of scope.slice(colon + 1).split(",")) {
      if (action !== "") {
        actions.add(action);
      }
    }
    actionsOf.set(resource, actions);
  }
  return [...actionsOf].map(([resource, actions]) => `${resource}:${[...actions].sort().join(",")}`).sort();
}

/** Whether a token for `granted` does for `wanted`; both as {@link mergeScopes} makes them. */
export function coversScopes(granted: readonly string[], wanted: readonly string[]): boolean {
  const merged = new Set(mergeScopes(granted, wanted));
  return merged.size === granted.length && granted.every((scope) => merged.has(scope));
}

/** The scope list of a challenge. */
export function splitScopes(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((scope) => scope !== "");
}

/** The repository of the first scope that names one, for looking up credentials. */
export function repositoryOf(scopes: readonly string[]): string | null {
  const scope = scopes.find((each) => each.startsWith("repository:"));
  return scope === undefined ? null : scope.slice("repository:".length, scope.lastIndexOf(":"));
}
