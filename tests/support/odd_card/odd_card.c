/* An ALSA card that can only what its configuration says (pcm type odd_card; README of it: __init__.py beside it).
   It plays into a file and records from one, in real time and in its own format; its clock moves a period at a time. */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST 16

struct odd_card {
	snd_pcm_ioplug_t io;
	int file, xruns;          /* descriptors; xruns: a line for each */
	long dies_after_ms;       /* 0: never */
	double began_s;           /* of this run of its clock; 0: stopped */
	double opened_s;
};

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int is_dead(struct odd_card *card)
{
	return card->dies_after_ms && (now_s() - card->opened_s) * 1000 >= card->dies_after_ms;
}

static int tick_every(struct odd_card *card, double period_s)
{
	struct itimerspec timer = { .it_interval = { 0, period_s * 1e9 } };
	timer.it_value = timer.it_interval;
	return timerfd_settime(card->io.poll_fd, 0, &timer, NULL);
}

static int start(snd_pcm_ioplug_t *io)
{
	struct odd_card *card = io->private_data;
	card->began_s = now_s();
	return tick_every(card, (double)io->period_size / io->rate);
}

static int stop(snd_pcm_ioplug_t *io)
{
	struct odd_card *card = io->private_data;
	card->began_s = 0;
	return tick_every(card, 0);
}

static snd_pcm_sframes_t pointer(snd_pcm_ioplug_t *io)
{
	struct odd_card *card = io->private_data;
	if (is_dead(card))
		return -ENODEV;
	if (card->began_s == 0)
		return 0;
	snd_pcm_uframes_t moved = (now_s() - card->began_s) * io->rate / io->period_size;
	moved *= io->period_size;
	snd_pcm_uframes_t most = io->stream == SND_PCM_STREAM_PLAYBACK ? io->appl_ptr : io->appl_ptr + io->buffer_size;
	if (moved > most) {
		dprintf(card->xruns, "%.3f\n", now_s());
		return -EPIPE;
	}
	return moved;
}

static snd_pcm_sframes_t transfer(
	snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset, snd_pcm_uframes_t frames)
{
	struct odd_card *card = io->private_data;
	char *at = (char *)areas->addr + (areas->first + areas->step * offset) / 8;
	size_t bytes = frames * areas->step / 8;
	if (is_dead(card))
		return -ENODEV;
	if (io->stream == SND_PCM_STREAM_PLAYBACK)
		return write(card->file, at, bytes) == (ssize_t)bytes ? (snd_pcm_sframes_t)frames : -EIO;
	ssize_t got = read(card->file, at, bytes);
	if (got < 0)
		return -EIO;
	memset(at + got, 0, bytes - got);  /* after the end of the file it is quiet */
	return frames;
}

static int prepare(snd_pcm_ioplug_t *io)
{
	return stop(io);
}

static int close_card(snd_pcm_ioplug_t *io)
{
	struct odd_card *card = io->private_data;
	close(card->file);
	close(card->xruns);
	close(card->io.poll_fd);
	free(card);
	return 0;
}

static int revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int count, unsigned short *events)
{
	unsigned long long ticks;
	if (count == 1 && fds->revents & POLLIN && read(io->poll_fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
		return -errno;
	*events = io->stream == SND_PCM_STREAM_PLAYBACK ? POLLOUT : POLLIN;
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = start, .stop = stop, .pointer = pointer, .transfer = transfer,
	.prepare = prepare, .close = close_card, .poll_revents = revents,
};

/* "8 16 24" are these, "8-24" all from 8 to 24. */
static int constrain(snd_pcm_ioplug_t *io, int what, const char *said, unsigned int unit_least, unsigned int unit_most)
{
	unsigned int values[MOST], count = 0, least, most;
	if (sscanf(said, "%u-%u", &least, &most) == 2)
		return snd_pcm_ioplug_set_param_minmax(io, what, least * unit_least, most * unit_most);
	for (char *end; *said && count < MOST; said = end + (*end == ' '))
		values[count++] = strtoul(said, &end, 10) * unit_least;
	return snd_pcm_ioplug_set_param_list(io, what, count, values);
}

static int constrain_all(snd_pcm_ioplug_t *io, char *formats, const char *channels, const char *rates,
	const char *period, const char *buffer)
{
	unsigned int values[MOST], count = 0, least = 64, most = 0, one, all;
	for (char *word = strtok(formats, " "); word && count < MOST; word = strtok(NULL, " ")) {
		snd_pcm_format_t format = snd_pcm_format_value(word);
		unsigned int bytes = snd_pcm_format_physical_width(format) / 8;
		values[count++] = format;
		least = bytes < least ? bytes : least;
		most = bytes > most ? bytes : most;
	}
	if (sscanf(channels, "%u-%u", &one, &all) != 2)
		sscanf(channels, "%u", &one), all = atoi(strrchr(channels, ' ') ? strrchr(channels, ' ') : channels);
	unsigned int access[] = { SND_PCM_ACCESS_MMAP_INTERLEAVED, SND_PCM_ACCESS_RW_INTERLEAVED };
	int failed = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
	failed = failed ? failed : snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, count, values);
	failed = failed ? failed : constrain(io, SND_PCM_IOPLUG_HW_CHANNELS, channels, 1, 1);
	failed = failed ? failed : constrain(io, SND_PCM_IOPLUG_HW_RATE, rates, 1, 1);
	failed = failed ? failed : constrain(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, period, least * one, most * all);
	return failed ? failed : constrain(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, buffer, least * one, most * all);
}

SND_PCM_PLUGIN_DEFINE_FUNC(odd_card)
{
	const char *folder = ".", *channels = "1-2", *rates = "8000-192000", *period = "64-8192", *buffer = "128-65536";
	const char *said_formats = "S16_LE", *id;
	long open_error = 0, dies_after_ms = 0;
	snd_config_iterator_t i, next;
	snd_config_for_each(i, next, conf) {
		snd_config_t *entry = snd_config_iterator_entry(i);
		snd_config_get_id(entry, &id);
#define TEXT(key, place) if (!strcmp(id, key)) snd_config_get_string(entry, &place)
#define NUMBER(key, place) if (!strcmp(id, key)) snd_config_get_integer(entry, &place)
		TEXT("folder", folder);
		TEXT("formats", said_formats);
		TEXT("channels", channels);
		TEXT("rates", rates);
		TEXT("period", period);
		TEXT("buffer", buffer);
		NUMBER("open_error", open_error);
		NUMBER("dies_after_ms", dies_after_ms);
	}
	int plays = stream == SND_PCM_STREAM_PLAYBACK;
	char path[4096], formats[256];
	snprintf(path, sizeof path, "%s/%s", folder, plays ? "played" : "heard");
	if (open_error)
		return -open_error;
	int file = open(path, plays ? O_WRONLY | O_APPEND : O_RDONLY);
	if (file < 0)  /* who has no such file cannot play, or cannot record */
		return -errno;
	struct odd_card *card = calloc(1, sizeof *card);
	snprintf(path, sizeof path, "%s/xruns", folder);
	card->file = file;
	card->xruns = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	card->dies_after_ms = dies_after_ms;
	card->opened_s = now_s();
	card->io = (snd_pcm_ioplug_t){
		.version = SND_PCM_IOPLUG_VERSION, .name = "odd card", .flags = SND_PCM_IOPLUG_FLAG_BOUNDARY_WA,
		.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), .poll_events = POLLIN,
		.callback = &callbacks, .private_data = card,
	};
	int failed = snd_pcm_ioplug_create(&card->io, name, stream, mode);
	if (failed)
		return close_card(&card->io), failed;
	snprintf(formats, sizeof formats, "%s", said_formats);
	failed = constrain_all(&card->io, formats, channels, rates, period, buffer);
	if (failed)
		return snd_pcm_ioplug_delete(&card->io), failed;
	*pcmp = card->io.pcm;
	return 0;
}

SND_PCM_PLUGIN_SYMBOL(odd_card);
