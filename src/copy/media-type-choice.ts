/** Which names a copy takes by the media type of what they stand for at the source, and what is said of the others. Pure. */
import { formatReference } from "../registry/reference.ts";
import { type CopyRequest, isRepositoryCopy } from "./request.ts";

/** Names that a warning has; the others are told with their tags. */
export const NAMED_IN_WARNING = 5;

/** Whether a manifest of this type is left out. False while the type is not known (""). */
export function leavesOut({ mediaTypes }: Pick<CopyRequest, "mediaTypes">, mediaType: string): boolean {
  return mediaTypes !== undefined && mediaType !== "" && !mediaTypes.includes(mediaType.toLowerCase());
}

/** Why a name was left out, as the end of a sentence that begins with it. */
export function leftOutReason(mediaType: string): string {
  return `its media type ${mediaType} is not among those that were asked for`;
}

/**
 * What those who follow the copy are told of the names that were left out; null: none was.
 * @param some The first of them, with their reasons.
 */
export function leftOutWarning(
  request: CopyRequest,
  count: number,
  some: readonly { source: string; reason: string }[],
): string | null {
  const [first] = some;
  if (first === undefined) {
    return null;
  }
  if (!isRepositoryCopy(request)) {
    return `${formatReference(request.source)} was left out and nothing copied: ${first.reason}.`;
  }
  const names = some.slice(0, NAMED_IN_WARNING).map(({ source }) => source);
  const others = count > names.length ? " and others" : "";
  return `${count} ${count === 1 ? "tag" : "tags"} left out for the media type: ${names.join(", ")}${others}.`;
}
