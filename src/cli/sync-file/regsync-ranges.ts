/**
 * regsync's ranges of versions, as the API's, which are npm's. In regsync a version of fewer than three numbers is one with
 * zeros (`>1.2` is above 1.2.0), while npm takes it for all that begin so (`>1.2` is from 1.3.0). Pure.
 */

const PART = /^(\^|~|>=|<=|>|<|=)?v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?$/;

/** The range in npm's words. What regsync does not understand either, or is beyond three numbers, stays as it is. */
export function rangeOf(text: string): string {
  const parts = text.trim().split(/\s+/).map(partOf);
  return parts.includes(null) ? text : parts.join(" ");
}

function partOf(part: string): string | null {
  const [match, operator = "=", first, second = "0", third = "0", prerelease = ""] = PART.exec(part) ?? [];
  if (match === undefined) {
    return null;
  }
  const [major, minor, patch] = [Number(first), Number(second), Number(third)];
  const version = `${major}.${minor}.${patch}${prerelease}`;
  if (operator === "~") {
    return `>=${version} <${major}.${minor + 1}.0`;
  }
  if (operator !== "^") {
    return `${operator}${version}`;
  }
  const end = major > 0 ? `${major + 1}.0.0` : minor > 0 ? `0.${minor + 1}.0` : `0.0.${patch + 1}`;
  return `>=${version} <${end}`;
}
