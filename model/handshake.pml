/* SPDX-License-Identifier: MIT */
/*
 * HELLO, HOST, AUTH and READY (doc/PROTOCOL.md) between a service S and a host H,
 * each in several sessions, two of H's before a restart and one after. The
 * intruder carries every message, and holds the key and certificate of a service
 * I of the same CA. It opens and makes what is sealed under an exchange with its own
 * X25519 key, and repeats the rest; it signs as I alone.
 *
 * A check is taken out by defining its name: then an assertion must fail.
 *	NO_SIG_H, NO_SIG_C	the signature is not checked
 *	NO_KIND			a service's certificate passes for a host's
 *	NO_TRANSCRIPT_H, NO_TRANSCRIPT_C	it covers no ephemeral keys
 *	NO_TH4			AUTH is not sealed, and READY's key is not of what it said
 *	NO_READY		the service does not wait for READY
 * REACH asserts that no exchange ever ends well: it must fail, too.
 */
#define S 1
#define I 2
#define H 3
#define INTRUDER_KEY 0
#define SESSIONS_S 2
#define SESSIONS_H 3

/* the service's sessions, by their ec, from 1 */
byte s_eh[3], s_epoch[3], s_host[3];
bool s_auth[3], s_done[3];
/* the host's, by their eh, from 1; peer: whom it believes to be there */
byte h_ec[4], h_epoch[4], h_peer[4];
bool h_sent[4];

/* HOST for this transcript, as H sent it; sealed, so fit for those who have ec or eh */
#define HOST_SENT(ec, eh, e) (eh != INTRUDER_KEY && h_sent[eh] && h_ec[eh] == ec && h_epoch[eh] == e)
/* AUTH for this transcript, as S sent it */
#define AUTH_SENT(ec, eh, e) (ec != INTRUDER_KEY && s_auth[ec] && s_eh[ec] == eh && s_epoch[ec] == e)

/* Has the intruder sig_h for (ec, eh, epoch)? It saw inside those made for its own ec. */
#ifdef NO_SIG_H
#define SIG_H(ec, eh, e) true
#else
#ifdef NO_TRANSCRIPT_H
#define SIG_H(ec, eh, e) ((h_sent[1] && h_ec[1] == INTRUDER_KEY) || \
	(h_sent[2] && h_ec[2] == INTRUDER_KEY) || (h_sent[3] && h_ec[3] == INTRUDER_KEY))
#else
#define SIG_H(ec, eh, e) (ec == INTRUDER_KEY && HOST_SENT(ec, eh, e))
#endif
#endif
/* sig_c by S: it saw inside those that S made for an exchange with the intruder's key */
#ifdef NO_TH4
#define SEES(x) (s_auth[x])
#else
#define SEES(x) (s_auth[x] && s_eh[x] == INTRUDER_KEY)
#endif
#ifdef NO_SIG_C
#define SIG_C(ec, eh, e) true
#else
#ifdef NO_TRANSCRIPT_C
/* any that S ever made: a service whose session's keys came out later counts as seen */
#define SIG_C(ec, eh, e) (s_auth[1] || s_auth[2])
#else
#define SIG_C(ec, eh, e) (SEES(1) && ec == 1 && s_eh[1] == eh && s_epoch[1] == e || \
	SEES(2) && ec == 2 && s_eh[2] == eh && s_epoch[2] == e)
#endif
#endif

/* --- properties --- */

/* S is done: H holds the same session with S, of the epoch that S believes */
#define S_AGREES(ec) (s_host[ec] == H && s_eh[ec] != INTRUDER_KEY && h_ec[s_eh[ec]] == ec && \
	h_epoch[s_eh[ec]] == s_epoch[ec] && h_peer[s_eh[ec]] == S)
/* H believes S: S was there, in this very session, and for H */
#define H_AGREES(eh) (h_peer[eh] != S || (h_ec[eh] != INTRUDER_KEY && s_auth[h_ec[eh]] && \
	s_eh[h_ec[eh]] == eh && s_epoch[h_ec[eh]] == h_epoch[eh] && s_host[h_ec[eh]] == H))
/* no session of S has the key of one that H believes to be I's */
#define NO_UNKNOWN_SHARE(ec) (s_eh[ec] == INTRUDER_KEY || h_ec[s_eh[ec]] != ec || \
	h_peer[s_eh[ec]] != I)

inline anything(x, last) {
	x = 0;
	do
	:: x < last -> x++
	:: break
	od
}

proctype service(byte ec) {
	byte eh, e;

	/* HELLO(ec) is public. HOST comes, from H or made up. */
	atomic {
		anything(eh, SESSIONS_H);
		anything(e, 1);
		if
		:: HOST_SENT(ec, eh, e) -> s_host[ec] = H
		:: eh == INTRUDER_KEY && SIG_H(ec, eh, e) -> s_host[ec] = H
#ifdef NO_KIND
		:: eh == INTRUDER_KEY -> s_host[ec] = H		/* by I's own signature */
#endif
		:: else -> goto end
		fi;
		s_eh[ec] = eh;
		s_epoch[ec] = e;
		s_auth[ec] = true
	}
	/* READY, by whoever has the key of the whole transcript */
	atomic {
#ifndef NO_READY
#ifdef NO_TH4
		(s_eh[ec] == INTRUDER_KEY || (h_ec[s_eh[ec]] == ec && h_peer[s_eh[ec]] != 0));
#else
		(s_eh[ec] == INTRUDER_KEY || (h_ec[s_eh[ec]] == ec && h_peer[s_eh[ec]] == S));
#endif
#endif
		s_done[ec] = true;
		assert(S_AGREES(ec));
		assert(NO_UNKNOWN_SHARE(ec));
#ifdef REACH
		assert(false)
#endif
	}
end:	skip
}

proctype host(byte eh; byte epoch) {
	byte ec;

	atomic {
		anything(ec, SESSIONS_S);
		h_ec[eh] = ec;
		h_epoch[eh] = epoch;
		h_sent[eh] = true
	}
	/* AUTH comes, relayed or made up */
	atomic {
		if
		:: AUTH_SENT(ec, eh, epoch) -> h_peer[eh] = S
		:: ec == INTRUDER_KEY && SIG_C(ec, eh, epoch) -> h_peer[eh] = S
		:: ec == INTRUDER_KEY -> h_peer[eh] = I
#ifdef NO_TH4
		:: h_peer[eh] = I		/* another's AUTH in the place of S's */
#endif
		fi;
		assert(H_AGREES(eh))
	}
}

init {
	atomic {
		run service(1);
		run service(2);
		run host(1, 0);
		run host(2, 0);
		run host(3, 1)
	}
}
