// Loaded into agent processes before anything else: they end with the test that started them, however it ends.
process.stdin.on('end', () => process.exit(1));
process.stdin.on('error', () => process.exit(1));
process.stdin.resume();
(process.stdin as unknown as { unref?: () => void }).unref?.();
