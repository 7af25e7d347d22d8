/* For mbed TLS where there is no C library. */
#define static_assert _Static_assert
