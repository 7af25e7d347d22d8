/*
 * What the parts of hosted/ share.
 */
#ifndef HOSTED_MACHINE_IMPL_H
#define HOSTED_MACHINE_IMPL_H

#include <hosted/hosted.h>

extern struct hosted_machine
    *hosted_current; /* the one machine that port.h speaks of; null = none */

#endif
