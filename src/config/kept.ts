/**
 * Keeps what was made of settings: they are the same objects and texts for an isolate's whole life, and asked for at every
 * request to a registry. Pure.
 */

/** Reads again only when the setting is another object or another text. */
export function once<T>(read: (given: unknown) => T): (given: unknown) => T {
  const byObject = new WeakMap<object, T>();
  let last: { given: unknown; reading: T } | null = null;
  return (given) => {
    if (typeof given !== "object" || given === null) {
      last = last !== null && last.given === given ? last : { given, reading: read(given) };
      return last.reading;
    }
    const known = byObject.get(given);
    if (known !== undefined) {
      return known;
    }
    const reading = read(given);
    byObject.set(given, reading);
    return reading;
  };
}

/**
 * Makes something of an environment again only when one of its settings is another object or another text.
 * @param settingsOf Those that it is made of.
 */
export function onceFor<Env extends object, T>(
  settingsOf: (env: Env) => readonly unknown[],
  make: (env: Env) => T,
): (env: Env) => T {
  const byEnv = new WeakMap<Env, { given: readonly unknown[]; made: T }>();
  return (env) => {
    const given = settingsOf(env);
    const kept = byEnv.get(env);
    if (kept !== undefined && kept.given.every((setting, index) => setting === given[index])) {
      return kept.made;
    }
    const made = make(env);
    byEnv.set(env, { given, made });
    return made;
  };
}

/** Makes something of a name once. Names come from whoever asks, so all are forgotten when there are many. */
export function onceNamed<T>(make: (name: string) => T, most: number): (name: string) => T {
  const byName = new Map<string, T>();
  return (name) => {
    const known = byName.get(name);
    if (known !== undefined) {
      return known;
    }
    if (byName.size >= most) {
      byName.clear();
    }
    const made = make(name);
    byName.set(name, made);
    return made;
  };
}
