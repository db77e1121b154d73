export const SHIPPED_PACKAGES: string[];
export const SUPPORT_PACKAGES: string[];
export function assemblePackages(projectDir: string, outDir: string): void;
