/**
 * Regular expressions over tags, as users write them: RE2's syntax (Go's, which regsync, skopeo and dregsy have too), always
 * against the whole tag. Matched in linear time, so that no expression can hold up the service. Pure.
 */
import { RE2JS } from "re2js";

/** Nobody needs more for a tag of 128 characters, and the work per character grows with the expression. */
const MAX_EXPRESSION_CHARACTERS = 512;

/** One compiled instruction costs a step per character: this bounds repetitions such as `(a{100}){10}` too. */
const MAX_EXPRESSION_STEPS = 5000;

/** What is wrong with an expression, as the end of a sentence that begins with it; null: nothing. */
export function describeExpressionFault(expression: string): string | null {
  if (expression === "") {
    return "is empty; expected a regular expression such as v1\\..*";
  }
  if (expression.length > MAX_EXPRESSION_CHARACTERS) {
    return `has ${expression.length} characters; at most ${MAX_EXPRESSION_CHARACTERS} are allowed`;
  }
  try {
    return RE2JS.compile(expression).programSize() > MAX_EXPRESSION_STEPS ? "repeats too much; make it simpler" : null;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.replace(/^error parsing regexp: /, "") : "it cannot be read";
    return /\(\?[=!<]|\\[1-9]/.test(expression)
      ? `is not a valid regular expression (look-around and back-references are not supported): ${why}`
      : `is not a valid regular expression: ${why}`;
  }
}

/**
 * Whether one of the expressions matches the whole text; never, where there are none.
 * @throws when one is faulty: check with {@link describeExpressionFault} first.
 */
export function matcherOf(expressions: readonly string[]): (text: string) => boolean {
  const compiled = expressions.map((expression) => RE2JS.compile(expression));
  return (text) => compiled.some((expression) => expression.matches(text));
}
