/* Emptying databases: unhook the tables under the locks, free them without. */
#include "store/internal.h"

#include <signal.h>
#include <stdlib.h>

/* Fewer keys than this are freed (in about a millisecond) where the command runs. */
#define BACKGROUND_MIN 10000

struct reap_job {
    struct wc_store *store;
    struct wc_table *tables;
};

static void free_tables(struct wc_table *t)
{
    for (struct wc_table *next; t; t = next) {
        next = t->next;
        wc_table_free(t);
    }
}

static void *reap_main(void *arg)
{
    struct reap_job job = *(struct reap_job *)arg;

    free(arg);
    free_tables(job.tables);
    pthread_mutex_lock(&job.store->reap_lock);
    job.store->reapers--;
    pthread_cond_signal(&job.store->reap_done);
    pthread_mutex_unlock(&job.store->reap_lock); /* wc_store_free() goes on from here: the store is gone */
    return NULL;
}

/* Start a thread that frees the tables. Signals are the main thread's business, so it blocks them all. */
static bool reap_in_background(struct wc_store *s, struct wc_table *tables)
{
    struct reap_job *job = malloc(sizeof(*job));
    sigset_t all, old;
    pthread_t thread;
    bool started;

    if (!job)
        return false;
    *job = (struct reap_job){.store = s, .tables = tables};
    pthread_mutex_lock(&s->reap_lock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    started = pthread_create(&thread, NULL, reap_main, job) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->reapers += started;
    pthread_mutex_unlock(&s->reap_lock);
    if (started)
        pthread_detach(thread);
    else
        free(job);
    return started;
}

/* Take the tables of db (-1: all) out of the shard, in front of list, and tell the observer. */
static struct wc_table *unhook(struct wc_store *s, int db, uint32_t i, struct wc_table *list)
{
    struct wc_shard *shard = wc_store_shard(s, i);

    for (int d = db < 0 ? 0 : db; d < (db < 0 ? s->databases : db + 1); d++) {
        struct wc_table *t = shard->tables[d];

        if (!t)
            continue;
        shard->tables[d] = NULL;
        wc_store_account(s, shard, -(int64_t)t->bytes);
        t->next = list;
        list = t;
    }
    if (s->observer.flushed)
        s->observer.flushed(s->observer.arg, db, i);
    return list;
}

void wc_store_flush_shard(struct wc_store *s, int db, uint32_t shard)
{
    free_tables(unhook(s, db, shard, NULL));
}

void wc_store_flush(struct wc_store *s, int db, bool background)
{
    struct wc_table *list = NULL;
    size_t keys = 0;

    wc_store_lock_all(s);
    wc_store_begin_many(s);
    for (uint32_t i = 0; i < s->nshards; i++)
        list = unhook(s, db, i, list);
    wc_store_end_many(s);
    wc_store_unlock_all(s);

    for (const struct wc_table *t = list; t; t = t->next)
        keys += t->nentries;
    if (!background || keys < BACKGROUND_MIN || !reap_in_background(s, list))
        free_tables(list);
}
