// The trainer may include everything below it, but not lib/run: one fault.
#include "lib/adapters/registry.h"
#include "lib/run/run.h"
