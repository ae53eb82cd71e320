#!/usr/bin/env node
// Here before the build, so that installing can link it.
import '../dist/main.js';
