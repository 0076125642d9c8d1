/* SPDX-License-Identifier: MIT */
#include "monitor.h"

struct monitor monitor;
