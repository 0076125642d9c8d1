// SPDX-License-Identifier: MIT
// exchange.js make|use NAME: a Float64Array and a Buffer that two processes
// share by shm-typed-array. `npm install` in this directory fetches it.
'use strict';
const shm = require('shm-typed-array');

const [role, name] = process.argv.slice(2);
const end = Date.now() + 1000 * (process.env.JOIN_SECONDS || 60);

function nap(what) {
	if (Date.now() > end)
		throw new Error(`waited in vain for ${what}`);
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}

function turn(buffer, number) {
	while (buffer[0] !== number)
		nap(`turn ${number}`);
}

function attach(key, type) {
	for (;;) {
		try {
			const got = shm.get(key, type);
			if (got && got.length)
				return got;
			if (got)		// sized, but its length not written yet
				shm.detach(key);
		} catch (e) {
			// there, but not sized yet
		}
		nap(key);
	}
}

function make() {
	const numbers = shm.create(1000, 'Float64Array', name + '-numbers');
	const buffer = shm.create(100, 'Buffer', name);
	for (let i = 0; i < numbers.length; i++)
		numbers[i] = i / 2;
	buffer.write('hello', 10);
	buffer[0] = 1;
	turn(buffer, 2);
	const sum = numbers.reduce((a, b) => a + b, 0);
	console.log(`make: read '${buffer.toString('utf8', 10, 15)}', sum ${sum}`);
	buffer[0] = 3;
	shm.destroy(name);
	shm.destroy(name + '-numbers');
}

function use() {
	const buffer = attach(name, 'Buffer');
	turn(buffer, 1);
	const numbers = attach(name + '-numbers', 'Float64Array');
	const sum = numbers.reduce((a, b) => a + b, 0);
	console.log(`use: ${numbers.length} numbers, sum ${sum}, read '${buffer.toString('utf8', 10, 15)}'`);
	for (let i = 0; i < numbers.length; i++)
		numbers[i] *= 2;
	buffer.write('world', 10);
	buffer[0] = 2;
	turn(buffer, 3);
	console.log('use: done');
}

if (role === 'make')
	make();
else
	use();
