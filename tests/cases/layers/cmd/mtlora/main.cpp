// The program goes through lib/run only: one fault.
#include "cmd/mtlora/commands.h"
#include "lib/nn/linear.h"
#include "lib/run/run.h"
