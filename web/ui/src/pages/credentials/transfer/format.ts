/** Whether a text is meant as JSON, by its first character; else it is CSV. */
export function formatOf(text: string): 'json' | 'csv' {
  return /^\uFEFF?\s*[[{]/.test(text) ? 'json' : 'csv';
}
