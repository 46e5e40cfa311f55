#include "proto/tls/address.h"

#include <netinet/in.h>
#include <string.h>

bool tls_address_read(const nng_sockaddr *from, struct sockaddr_storage *to)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)to;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)to;
    memset(to, 0, sizeof *to);
    switch (from->s_family) {
    case NNG_AF_INET:
        in->sin_family = AF_INET;
        in->sin_port = from->s_in.sa_port;
        in->sin_addr.s_addr = from->s_in.sa_addr;
        return true;
    case NNG_AF_INET6:
        in6->sin6_family = AF_INET6;
        in6->sin6_port = from->s_in6.sa_port;
        memcpy(&in6->sin6_addr, from->s_in6.sa_addr, sizeof in6->sin6_addr);
        return true;
    default:
        return false;
    }
}
