/* SPDX-License-Identifier: MIT */
/*
 * JOIN, ATTEST and CONFIRM (doc/PROTOCOL.md) with the *host* as the attacker: it
 * carries every message, attests what it likes, and holds the keys of service C.
 * A and B are honest. A term is the tuple of what it is made of; whoever lacks a
 * key can repeat a term, and not make one.
 *
 * A check is taken out by defining its name: then an assertion must fail.
 *	NO_SIGNATURE	JOIN is not checked against the certificate
 *	NO_OBJECT, NO_EPOCH	where JOIN is for is not compared
 *	NO_CONFIRM	a verified member counts as confirmed
 *	NO_DIRECTION	the MAC does not say who sends it to whom
 *	NO_MH		pair key and MAC are of the DH alone
 *	NO_ATTEST	mh does not cover the ATTEST
 *	NO_REFLECT	one's own JOIN is taken for another's
 * REACH asserts that two honest members never get to confirm each other: it
 * must fail, too.
 */
#define A 1
#define B 2
#define C 3
#define INTRUDER_KEY 0

#define N 2		/* honest members: 0 is A, 1 is B */
#define K 2		/* others that each may meet */

/* the honest: who, with which key, where, and attested how */
byte svc[N], ej[N], obj[N], ep[N], att[N];
/* whom each met, as it was shown to it; state: 1 verified, 2 confirmed */
byte p_svc[4], p_ej[4], p_obj[4], p_ep[4], p_att[4], state[4];
#define AT(i, k) ((i) * K + (k))

/* what a member is in keys: mh */
#ifdef NO_ATTEST
#define MH(s, o, e, x, a) ((s) + 4 * (o) + 16 * (e) + 32 * (x))
#else
#define MH(s, o, e, x, a) ((s) + 4 * (o) + 16 * (e) + 32 * (x) + 256 * (a))
#endif
#define OWN(i) MH(svc[i], obj[i], ep[i], ej[i], att[i])
#define HIS(r) MH(p_svc[r], p_obj[r], p_ep[r], p_ej[r], p_att[r])

#define SAME_DH(i, r, j, q) \
	((ej[i] == ej[j] && p_ej[r] == p_ej[q]) || (ej[i] == p_ej[q] && p_ej[r] == ej[j]))
#define SAME_MHS(i, r, j, q) \
	((OWN(i) == OWN(j) && HIS(r) == HIS(q)) || (OWN(i) == HIS(q) && HIS(r) == OWN(j)))
#ifdef NO_MH
#define SAME_KEY(i, r, j, q) SAME_DH(i, r, j, q)
#else
#define SAME_KEY(i, r, j, q) (SAME_DH(i, r, j, q) && SAME_MHS(i, r, j, q))
#endif

/* the CONFIRM that j sent to the one at q is what i waits for from the one at r */
#if defined(NO_DIRECTION) || defined(NO_MH)
#define DIRECTED(i, r, j, q) true
#else
#define DIRECTED(i, r, j, q) (OWN(j) == HIS(r) && HIS(q) == OWN(i))
#endif
#define SENT(i, r, j, q) (state[q] >= 1 && SAME_KEY(i, r, j, q) && DIRECTED(i, r, j, q))
#define CONFIRM_SEEN(i, r) \
	(p_ej[r] == INTRUDER_KEY || SENT(i, r, 0, AT(0, 0)) || SENT(i, r, 0, AT(0, 1)) || \
	 SENT(i, r, 1, AT(1, 0)) || SENT(i, r, 1, AT(1, 1)))

/* JOIN of that service is signed: by an honest member as it is, or by the host's C */
#define IS_JOIN_OF(j, s, o, e, x) (svc[j] == s && obj[j] == o && ep[j] == e && ej[j] == x)
#ifdef NO_SIGNATURE
#define SIGNED(s, o, e, x) true
#else
#define SIGNED(s, o, e, x) (s == C || IS_JOIN_OF(0, s, o, e, x) || IS_JOIN_OF(1, s, o, e, x))
#endif
#ifdef NO_OBJECT
#define OBJECT_FITS(i, o) true
#else
#define OBJECT_FITS(i, o) (obj[i] == o)
#endif
#ifdef NO_EPOCH
#define EPOCH_FITS(i, e) true
#else
#define EPOCH_FITS(i, e) (ep[i] == e)
#endif
#ifdef NO_REFLECT
#define FOREIGN(i, x) true
#else
#define FOREIGN(i, x) (ej[i] != x)
#endif

/* --- properties --- */

/* j is the one that r shows, has verified i, and both say the same of each other */
#define MET(i, j, q) (state[q] >= 1 && p_svc[q] == svc[i] && p_ej[q] == ej[i] && \
	p_obj[q] == obj[i] && p_ep[q] == ep[i] && p_att[q] == att[i])
#define AGREES(i, r, j) (svc[j] == p_svc[r] && ej[j] == p_ej[r] && att[j] == p_att[r] && \
	obj[j] == obj[i] && ep[j] == ep[i] && (MET(i, j, AT(j, 0)) || MET(i, j, AT(j, 1))))
#define AGREEMENT(i, r) (p_svc[r] == C || AGREES(i, r, 1 - (i)))
/* whoever has the key of the two is the one it is believed to be with */
#define KNOWN(i, r, j, q) (!(state[q] >= 1 && SAME_KEY(i, r, j, q)) || p_svc[r] == svc[j])
#define NO_UNKNOWN_SHARE(i, r) (KNOWN(i, r, 1 - (i), AT(1 - (i), 0)) && \
	KNOWN(i, r, 1 - (i), AT(1 - (i), 1)))

inline anything(x, last) {
	x = 0;
	do
	:: x < last -> x++
	:: break
	od
}

proctype member(byte i) {
	byte k, r, s, o, e, x, a;

	/* the host attests this member, to itself, as it likes */
	anything(a, 1);
	att[i] = a;
	do
	:: k < K -> atomic {
		/* the host shows somebody */
		r = AT(i, k);
		s = A; if :: s = A :: s = B :: s = C fi;
		anything(o, 1); anything(e, 1); anything(x, 2); anything(a, 1);
		if
		:: SIGNED(s, o, e, x) && OBJECT_FITS(i, o) && EPOCH_FITS(i, e) && FOREIGN(i, x) ->
			p_svc[r] = s; p_obj[r] = o; p_ep[r] = e; p_ej[r] = x; p_att[r] = a;
			state[r] = 1;
			k++
		:: else
		fi;
		s = 0; o = 0; e = 0; x = 0; a = 0
	   }
	:: atomic {
		if :: r = AT(i, 0) :: r = AT(i, 1) fi;
		if
#ifdef NO_CONFIRM
		:: state[r] == 1 ->
#else
		:: state[r] == 1 && CONFIRM_SEEN(i, r) ->
#endif
			state[r] = 2;
			assert(AGREEMENT(i, r));
			assert(NO_UNKNOWN_SHARE(i, r));
#ifdef REACH
			assert(p_svc[r] == C)
#endif
		:: else
		fi;
		r = 0
	   }
	:: break
	od
}

init {
	byte o, e;

	atomic {
		svc[0] = A; ej[0] = 1; obj[0] = 1; ep[0] = 1;
		svc[1] = B; ej[1] = 2;
		/* B takes part here, in another object, or did before the daemon's restart */
		if
		:: obj[1] = 1; ep[1] = 1
		:: obj[1] = 0; ep[1] = 1
		:: obj[1] = 1; ep[1] = 0
		fi;
		run member(0);
		run member(1)
	}
}
