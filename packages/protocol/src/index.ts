export const hello = (name: string): string => name;
