// What adapters do to the channels of activations beside products: see lib/backend/channels.h.
#pragma once

#include "lib/backend/channels.h"
