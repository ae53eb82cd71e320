export { findProgram, type Program, type ProgramWanted } from './find-program.ts';
export { unpackDebianPackages, type UnpackOptions } from './unpack-debian-packages.ts';
export { programDirectories, programEnvironment } from './program-environment.ts';

export { buildIntoPlace } from './build-into-place.ts';
export { inDirectoryBeside } from './in-directory-beside.ts';
export { cacheHome } from './cache-home.ts';
export { debianSuite, firstExisting, privateApt, type Apt } from './private-apt.ts';
export { unpackDeb } from './unpack-deb.ts';
