/** Whatever the page could not do. A page with problems fails its check. */
export const problems: string[] = [];
