/* Preloaded into a sound host: a sound library that hangs, or spins, in the function that the file $HOME/hang names.
   The file $HOME/hung appears at that moment. Without the file everything is as usual. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void hang_in(const char *function)
{
	char path[4096], said[64] = "";
	snprintf(path, sizeof path, "%s/hang", getenv("HOME"));
	int file = open(path, O_RDONLY);
	if (file < 0)
		return;
	ssize_t size = read(file, said, sizeof said - 1);
	close(file);
	char *how = size > 0 ? strchr(said, ' ') : NULL;
	if (how == NULL)
		return;
	*how++ = 0;
	if (strcmp(said, function) != 0)
		return;
	snprintf(path, sizeof path, "%s/hung", getenv("HOME"));
	close(open(path, O_WRONLY | O_CREAT, 0600));
	for (;;)
		if (*how == 'h')
			pause();
}

/* Python loads the library for itself alone, so RTLD_NEXT does not find it. */
static void *real(const char *function)
{
	return dlsym(dlopen("libportaudio.so.2", RTLD_LAZY | RTLD_NOLOAD), function);
}

/* Six arguments of a register each cover all four; Pa_OpenStream's seventh and eighth are on the stack. */
long Pa_OpenStream(long a, long b, long c, double rate, long d, long e, long f, long g)
{
	/* The second argument says how to record, the third how to play; a host does one of them. */
	hang_in(b != 0 ? "open-microphone" : "open-speaker");
	return ((long (*)(long, long, long, double, long, long, long, long))real("Pa_OpenStream"))(
		a, b, c, rate, d, e, f, g);
}

#define WRAP(function, name)                                                                  \
	long function(long a, long b, long c)                                                     \
	{                                                                                         \
		hang_in(name);                                                                        \
		return ((long (*)(long, long, long))real(#function))(a, b, c);            \
	}

WRAP(Pa_ReadStream, "read")
WRAP(Pa_WriteStream, "write")
WRAP(Pa_CloseStream, "close")
