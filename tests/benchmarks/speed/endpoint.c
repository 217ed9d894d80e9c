/* A chat endpoint that is never what limits: one thread, epoll, the same answer to every call.
 *
 *     cc -O2 -o endpoint endpoint.c
 *     endpoint ANSWER [DELAYS]
 *
 * ANSWER is a file: each answer, its head and all. DELAYS is a file of doubles, seconds: the n-th call is answered after the n-th of them, and
 * after the last the first comes again; without it every call is answered at once. Prints its port, and ends when standard input closes.
 * GET anything: {"calls": …, "connections": …, "most_in_flight": …, "seconds": from the first connection to the last answer}, and all begins anew.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 20000, DEBTS = 1 << 18, ROOM = 1 << 17, BATCH = 512 };

struct connection {
    char *bytes;
    int used;
    int busy;         /* An answer is owed: what follows waits. */
    unsigned life;    /* Tells this connection from an earlier one with its number. */
};
struct debt {
    double due;
    int number;
    unsigned life;
};

static struct connection all[CONNECTIONS];
static struct debt owed[DEBTS];    /* A heap from 1 on. */
static int debts, in_flight, most_in_flight;
static long calls, connections;
static char *answer;
static size_t answer_size;
static double *delays;
static long delay_count;
static double first_connection, last_answer;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *contents(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (fread(bytes, 1, *size, file) != *size) fail(path);
    fclose(file);
    return bytes;
}

static void owe(double due, int number) {
    if (debts + 1 == DEBTS) exit(1);
    int at = ++debts;
    for (; at > 1 && owed[at / 2].due > due; at /= 2) owed[at] = owed[at / 2];
    owed[at] = (struct debt){due, number, all[number].life};
}

static struct debt take(void) {
    struct debt first = owed[1], last = owed[debts--];
    int at = 1;
    for (int child; (child = 2 * at) <= debts; at = child) {
        if (child < debts && owed[child + 1].due < owed[child].due) child++;
        if (owed[child].due >= last.due) break;
        owed[at] = owed[child];
    }
    owed[at] = last;
    return first;
}

static void hang_up(int number) {
    struct connection *c = &all[number];
    in_flight -= c->busy;
    c->life++;
    c->used = c->busy = 0;
    close(number);
}

static int say(int number, const char *bytes, size_t size) {
    if (send(number, bytes, size, MSG_NOSIGNAL) == (ssize_t)size) return 1;
    hang_up(number);
    return 0;
}

static int count(int number) {
    char body[192], text[320];
    int size = sprintf(body, "{\"calls\": %ld, \"connections\": %ld, \"most_in_flight\": %d, \"seconds\": %.6f}", calls, connections - 1,
        most_in_flight, last_answer - first_connection);    /* Less the one that this is asked on. */
    calls = connections = most_in_flight = 0;
    size = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body);
    return say(number, text, size);
}

/* Answer the whole requests that lie there, up to the first that has to wait. */
static void serve(int number) {
    struct connection *c = &all[number];
    while (!c->busy && c->used) {
        char *end = memmem(c->bytes, c->used, "\r\n\r\n", 4);
        if (!end) return;
        int head = end - c->bytes + 4, body = 0;
        for (char *line = memchr(c->bytes, '\n', head); line && line < end; line = memchr(line + 1, '\n', end - line))
            if (!strncasecmp(line + 1, "content-length:", 15)) body = atoi(line + 16);
        if (c->used < head + body) return;
        int is_call = c->bytes[0] == 'P';
        c->used -= head + body;
        memmove(c->bytes, c->bytes + head + body, c->used);
        if (!is_call) {
            if (!count(number)) return;
            continue;
        }
        calls++;
        if (!delay_count) {
            if (!say(number, answer, answer_size)) return;
            last_answer = now();
            continue;
        }
        c->busy = 1;
        if (++in_flight > most_in_flight) most_in_flight = in_flight;
        owe(now() + delays[(calls - 1) % delay_count], number);
    }
}

static void pay(void) {
    double moment = now();
    while (debts && owed[1].due <= moment) {
        struct debt debt = take();
        if (all[debt.number].life != debt.life) continue;
        all[debt.number].busy = 0;
        in_flight--;
        last_answer = moment;
        if (say(debt.number, answer, answer_size)) serve(debt.number);
    }
}

static void hear(int number) {
    struct connection *c = &all[number];
    if (c->used == ROOM) return hang_up(number);
    ssize_t size = recv(number, c->bytes + c->used, ROOM - c->used, 0);
    if (size < 0 && errno == EAGAIN) return;    /* The note was of an earlier connection with this number. */
    if (size <= 0) return hang_up(number);
    c->used += size;
    serve(number);
}

static void welcome(int door, int poll) {
    int one = 1, number;
    while ((number = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (number >= CONNECTIONS) {
            close(number);
            continue;
        }
        setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (!all[number].bytes) all[number].bytes = malloc(ROOM);
        if (!connections++) first_connection = now();
        struct epoll_event want = {.events = EPOLLIN, .data.fd = number};
        epoll_ctl(poll, EPOLL_CTL_ADD, number, &want);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    size_t size;
    answer = contents(argv[1], &answer_size);
    if (argc > 2) {
        delays = contents(argv[2], &size);
        delay_count = size / sizeof *delays;
    }

    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 4096) || getsockname(door, (struct sockaddr *)&at, &length)) fail("listen");
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);

    struct epoll_event want = {.events = EPOLLIN, .data.fd = door}, ready[BATCH];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &want);
    want.data.fd = 0;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &want);
    for (;;) {
        double left = debts ? owed[1].due - now() : 1.0;
        if (left < 0) left = 0;
        struct timespec wait = {(time_t)left, (long)(1e9 * (left - (time_t)left))};
        int found = epoll_pwait2(poll, ready, BATCH, &wait, NULL);
        for (int i = 0; i < found; i++) {
            int number = ready[i].data.fd;
            char unread[64];
            if (number == 0) {
                if (read(0, unread, sizeof unread) <= 0) return 0;
            } else if (number == door)
                welcome(door, poll);
            else
                hear(number);
        }
        pay();
    }
}
